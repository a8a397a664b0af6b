// Pins the OCI registry that serves packages inside the sandbox.
module stateward.dev/tools/registry

go 1.26

tool github.com/google/go-containerregistry/cmd/registry

require github.com/google/go-containerregistry v0.21.9 // indirect
