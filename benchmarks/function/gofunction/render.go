package main

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"

	xpv1 "github.com/crossplane/crossplane-runtime/v2/apis/common/v1"

	"github.com/crossplane/function-sdk-go/resource"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

type object = map[string]any

// render returns what the Database step of the Python function returns for the same request.
func render(xr *resource.Composite, plan object, observed map[resource.Name]resource.ObservedComposed) map[resource.Name]object {
	spec, _, _ := unstructured.NestedMap(xr.Resource.Object, "spec")
	namespace, name := xr.Resource.GetNamespace(), xr.Resource.GetName()
	digest := sha256.Sum256([]byte(xr.Resource.GetUID()))
	id := fmt.Sprintf("%s-%s-%s", namespace, name, hex.EncodeToString(digest[:])[:8])
	version, _ := spec["version"].(string)
	region := first(plan, "spec", "regions")
	config := object{"name": text(plan, "spec", "providerConfigRef", "name"), "kind": "ClusterProviderConfig"}
	tags := object{
		"environment": spec["environment"], "stateward.dev/managed-by": "stateward",
		"stateward.dev/claim": namespace + "/" + name,
	}
	planTags, _, _ := unstructured.NestedStringMap(plan, "spec", "tags")
	for key, value := range planTags {
		tags[key] = value
	}
	for key, value := range xr.Resource.GetLabels() {
		tags[key] = value
	}
	parameters := []any{}
	asked, _, _ := unstructured.NestedStringMap(spec, "parameters")
	for key, value := range asked {
		parameters = append(parameters, object{"name": key, "value": value, "applyMethod": "pending-reboot"})
	}
	subnets, _, _ := unstructured.NestedSlice(plan, "spec", "aws", "subnetIDs")
	groups, _, _ := unstructured.NestedSlice(plan, "spec", "aws", "securityGroupIDs")
	policies := []any{"Observe", "Create", "Update", "LateInitialize"}
	data := policies
	if instance, ok := observed["instance"]; ok && text(instance.Resource.Object, "status", "atProvider", "arn") != "" {
		data = []any{"Observe", "Update", "LateInitialize"}
	}
	managed := func(kind, called string, forProvider object, policies []any) object {
		return object{
			"apiVersion": "rds.aws.m.upbound.io/v1beta1", "kind": kind,
			"metadata": object{
				"name": called, "namespace": namespace,
				"annotations": object{"crossplane.io/external-name": called},
			},
			"spec": object{"managementPolicies": policies, "providerConfigRef": config, "forProvider": forProvider},
		}
	}
	group := id + "-pg" + version
	instance := managed("Instance", id, object{
		"region": region, "identifier": id, "engine": "postgres", "engineVersion": version,
		"allowMajorVersionUpgrade": true, "autoMinorVersionUpgrade": true,
		"instanceClass": text(plan, "spec", "aws", "instanceClass"), "allocatedStorage": spec["storageGB"],
		"storageType": "gp3", "storageEncrypted": true, "publiclyAccessible": false,
		"multiAz": spec["highAvailability"], "dbName": "app", "username": "app", "dbSubnetGroupName": id,
		"parameterGroupName": group, "backupRetentionPeriod": int64(35), "copyTagsToSnapshot": true,
		"deletionProtection": true, "deleteAutomatedBackups": false, "skipFinalSnapshot": false, "tags": tags,
		"finalSnapshotIdentifier": "stateward-final-" + id, "vpcSecurityGroupIds": groups,
		"autoGeneratePassword": true, "passwordSecretRef": object{"name": id + "-master", "key": "password"},
	}, data)
	instance["spec"].(object)["writeConnectionSecretToRef"] = object{"name": id + "-instance"}
	out := map[resource.Name]object{
		"instance": instance,
		"subnet-group": managed("SubnetGroup", id, object{
			"region": region, "description": "Subnets of " + namespace + "/" + name, "subnetIds": subnets, "tags": tags,
		}, policies),
		resource.Name("parameter-group-" + version): managed("ParameterGroup", group, object{
			"region": region, "description": "Parameters of " + namespace + "/" + name,
			"family": "postgres" + version, "parameter": parameters, "tags": tags,
		}, policies),
		"service-instance": {
			"apiVersion": "day2.stateward.dev/v1alpha1", "kind": "ServiceInstance",
			"metadata": object{
				"name": name + id[len(id)-9:], "namespace": namespace,
				"labels": object{
					"day2.stateward.dev/environment": spec["environment"], "day2.stateward.dev/plan": spec["plan"],
					"day2.stateward.dev/backend": text(plan, "spec", "backendRef", "name"),
					"day2.stateward.dev/origin":  "Claim", "day2.stateward.dev/backup-class": "regulated",
				},
			},
			"spec": object{
				"engine": "postgres", "engineVersion": version, "region": region, "resourceKind": "DBInstance",
				"backendRef": object{"name": text(plan, "spec", "backendRef", "name")}, "identifier": id,
				"resourceRef": object{
					"apiVersion": "rds.aws.m.upbound.io/v1beta1", "kind": "Instance", "name": id, "namespace": namespace,
				},
				"ownerRef": object{
					"apiVersion": xr.Resource.GetAPIVersion(), "kind": xr.Resource.GetKind(), "name": name,
					"namespace": namespace,
				},
				"environment": spec["environment"], "tags": tags, "deletionPolicy": "Orphan", "origin": "Claim",
			},
		},
	}
	if secret := connection(name, namespace, observed); secret != nil {
		out["connection-orders-connection"] = secret
	}
	return out
}

func connection(name, namespace string, observed map[resource.Name]resource.ObservedComposed) object {
	details := observed["instance"].ConnectionDetails
	if len(details["host"]) == 0 {
		return nil
	}
	uri := fmt.Sprintf("postgresql://%s:%s@%s:%s/app", details["username"], details["password"], details["host"], details["port"])
	data := object{}
	for key, value := range map[string][]byte{
		"type": []byte("postgresql"), "provider": []byte("aws"), "database": []byte("app"), "uri": []byte(uri),
		"host": details["host"], "port": details["port"], "username": details["username"], "password": details["password"],
	} {
		data[key] = base64.StdEncoding.EncodeToString(value)
	}
	return object{
		"apiVersion": "v1", "kind": "Secret", "type": "servicebinding.io/postgresql",
		"metadata": object{"name": name + "-connection", "namespace": namespace}, "data": data,
	}
}

func status(observed map[resource.Name]resource.ObservedComposed) object {
	out := object{"phase": "Creating", "message": "The database is being created.", "backend": "acme-workloads"}
	instance, ok := observed["instance"]
	if !ok {
		return out
	}
	out["phase"], out["message"] = "Ready", ""
	out["endpoint"] = text(instance.Resource.Object, "status", "atProvider", "address")
	out["resourceID"] = text(instance.Resource.Object, "status", "atProvider", "resourceId")
	out["initialized"] = true
	if care, ok := observed["service-instance"]; ok {
		protection, _, _ := unstructured.NestedMap(care.Resource.Object, "status", "protection")
		out["protection"] = protection
		out["version"] = text(care.Resource.Object, "status", "engineVersion")
	}
	return out
}

func isReady(observed resource.ObservedComposed) bool {
	return observed.Resource != nil && observed.Resource.GetCondition(xpv1.TypeReady).Status == "True"
}

func text(from object, path ...string) string {
	found, _, _ := unstructured.NestedString(from, path...)
	return found
}

func first(from object, path ...string) string {
	found, _, _ := unstructured.NestedStringSlice(from, path...)
	if len(found) == 0 {
		return ""
	}
	return found[0]
}
