"""The controller's runtime: talking to an API server, caching what it says, and working off keys, generic over kinds.

Layers, lowest first: `transport` and `client` (requests), `store` and `reflector` (the cache), `workqueue` and
`controller` (the work), `lease` and `manager` (who works, and when). It imports `stateward.api` and nothing else of the
product. It is no general Kubernetes library: it has the operations Stateward uses, and each of them is proved.
"""
