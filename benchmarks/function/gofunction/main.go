// Command gofunction is the measure for the Python function: the same work as its Database step on an AWS plan, written
// the way function-sdk-go is meant to be used. It is a benchmark, not a second implementation: it validates nothing.
package main

import (
	"context"
	"flag"
	"log"
	"os"
	"time"

	"github.com/crossplane/function-sdk-go"
	fnv1 "github.com/crossplane/function-sdk-go/proto/v1"
	"github.com/crossplane/function-sdk-go/request"
	"github.com/crossplane/function-sdk-go/resource"
	"github.com/crossplane/function-sdk-go/resource/composed"
	"github.com/crossplane/function-sdk-go/response"
)

// Function renders an RDS instance and what belongs to it.
type Function struct {
	fnv1.UnimplementedFunctionRunnerServiceServer
}

// RunFunction answers one request.
func (f *Function) RunFunction(_ context.Context, req *fnv1.RunFunctionRequest) (*fnv1.RunFunctionResponse, error) {
	rsp := response.To(req, time.Hour)
	rsp.Requirements = &fnv1.Requirements{Resources: map[string]*fnv1.ResourceSelector{"plan": {
		ApiVersion: "day2.stateward.dev/v1alpha1", Kind: "ServicePlan",
		Match: &fnv1.ResourceSelector_MatchName{MatchName: "aws-production"},
	}}}
	xr, err := request.GetObservedCompositeResource(req)
	if err != nil {
		response.Fatal(rsp, err)
		return rsp, nil
	}
	observed, err := request.GetObservedComposedResources(req)
	if err != nil {
		response.Fatal(rsp, err)
		return rsp, nil
	}
	desired, err := request.GetDesiredComposedResources(req)
	if err != nil {
		response.Fatal(rsp, err)
		return rsp, nil
	}
	required, err := request.GetRequiredResources(req)
	if err != nil || len(required["plan"]) == 0 {
		response.Warning(rsp, err)
		return rsp, nil
	}
	rendered := render(xr, required["plan"][0].Resource.Object, observed)
	for name, content := range rendered {
		cd := composed.New()
		cd.Object = content
		ready := resource.ReadyFalse
		if isReady(observed[name]) {
			ready = resource.ReadyTrue
		}
		desired[name] = &resource.DesiredComposed{Resource: cd, Ready: ready}
	}
	if err := response.SetDesiredComposedResources(rsp, desired); err != nil {
		response.Fatal(rsp, err)
		return rsp, nil
	}
	dxr, err := request.GetDesiredCompositeResource(req)
	if err != nil {
		response.Fatal(rsp, err)
		return rsp, nil
	}
	dxr.Resource.Object["status"] = status(observed)
	if err := response.SetDesiredCompositeResource(rsp, dxr); err != nil {
		response.Fatal(rsp, err)
		return rsp, nil
	}
	response.ConditionTrue(rsp, "Valid", "Accepted").TargetCompositeAndClaim()
	response.ConditionTrue(rsp, "Protected", "PolicyMatches").TargetCompositeAndClaim()
	return rsp, nil
}

func main() {
	address := flag.String("address", "127.0.0.1:9443", "address to listen on")
	flag.Parse()
	if err := function.Serve(&Function{}, function.Listen("tcp", *address), function.Insecure(true)); err != nil {
		log.Print(err)
		os.Exit(1)
	}
}
