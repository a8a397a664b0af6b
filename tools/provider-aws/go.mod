// Pins the CRDs of provider-aws. Nothing is built from it: the sandbox runs a stand-in for the provider.
module stateward.dev/tools/provider-aws

go 1.26

require github.com/upbound/provider-aws/v2 v2.5.0
