package admission_test

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"
)

const projectUUID = "93125c2a-8b78-4d4f-a3c4-7367d6b7cca8"

func TestPacketClustersThatAreRefused(t *testing.T) {
	for name, test := range map[string]struct {
		spec string
		want []string
	}{
		"nowhere":                          {"{vipManager: CPEM}", []string{"spec", "one of metro and facility is required"}},
		"two places":                       {"{metro: da, facility: da11}", []string{"spec", "metro da and facility da11 are mutually exclusive"}},
		"metro":                            {"{metro: Dallas}", []string{"spec.metro", `"Dallas"`, "^[a-z]{2}$"}},
		"facility":                         {"{facility: dallas}", []string{"spec.facility", `"dallas"`}},
		"project":                          {"{metro: da, projectID: mine}", []string{"spec.projectID", `"mine"`}},
		"EMLB":                             {"{metro: da, vipManager: EMLB}", []string{"spec.vipManager", `"EMLB"`, "were shut down", "CPEM, KUBE_VIP and External"}},
		"VIP manager":                      {"{metro: da, vipManager: keepalived}", []string{"spec.vipManager", `"keepalived"`, "CPEM, KUBE_VIP and External"}},
		"credentials without name":         {"{metro: da, credentialsRef: {}}", []string{"spec.credentialsRef.name", "Required value"}},
		"credentials elsewhere":            {"{metro: da, credentialsRef: {name: other/secret}}", []string{"spec.credentialsRef.name", `"other/secret"`}},
		"elastic IP with External":         {"{metro: da, vipManager: External, elasticIP: {type: public_ipv4}}", []string{"spec.elasticIP", "External", "CPEM and KUBE_VIP"}},
		"elastic IP of no type":            {"{metro: da, elasticIP: {type: public_ipv6}}", []string{"spec.elasticIP.type", `"public_ipv6"`, `"public_ipv4", "global_ipv4"`}},
		"reservation":                      {"{metro: da, elasticIP: {reservationID: 203.0.113.1}}", []string{"spec.elasticIP.reservationID", "203.0.113.1"}},
		"releasing what is not ours":       {"{metro: da, elasticIP: {reservationID: " + reservationUUID + ", reclaimPolicy: Delete}}", []string{"spec.elasticIP.reclaimPolicy", reservationUUID, "never released", "Retain"}},
		"tagging what is not ours":         {"{metro: da, elasticIP: {reservationID: " + reservationUUID + ", tags: [a]}}", []string{"spec.elasticIP.tags", reservationUUID}},
		"reclaim policy":                   {"{metro: da, elasticIP: {reclaimPolicy: Recycle}}", []string{"spec.elasticIP.reclaimPolicy", `"Recycle"`, `"Delete", "Retain"`}},
		"own tag":                          {"{metro: da, elasticIP: {tags: ['capp:namespace:other']}}", []string{"spec.elasticIP.tags[0]", `"capp:namespace:other"`, "the provider's own"}},
		"long tag":                         {"{metro: da, elasticIP: {tags: [" + strings.Repeat("ü", 41) + "]}}", []string{"spec.elasticIP.tags[0]", "at most 80 bytes"}},
		"BGP without kube-vip":             {"{metro: da, bgp: {localASN: 65000}}", []string{"spec.bgp", "only for vipManager KUBE_VIP, and vipManager is CPEM"}},
		"ASN":                              {"{metro: da, vipManager: KUBE_VIP, bgp: {localASN: 4294967296}}", []string{"spec.bgp.localASN", "4294967296", "4294967295"}},
		"BGP password":                     {"{metro: da, vipManager: KUBE_VIP, bgp: {passwordSecretRef: {key: a}}}", []string{"spec.bgp.passwordSecretRef.name", "Required value"}},
		"failure domain":                   {"{metro: da, failureDomains: [{name: da11}]}", []string{"spec.failureDomains[0].name", "da11"}},
		"failure domain twice":             {"{metro: da, failureDomains: [{name: da}, {name: da}]}", []string{"spec.failureDomains[1]", "Duplicate value"}},
		"failure domains of a facility":    {"{facility: da11, failureDomains: [{name: da}]}", []string{"spec.failureDomains", "not possible with facility da11", "set metro"}},
		"no place for the control plane":   {"{metro: da, failureDomains: [{name: da, controlPlane: false}]}", []string{"spec.failureDomains", "the control plane has to be somewhere"}},
		"control plane out of reach":       {"{metro: da, failureDomains: [{name: da}, {name: ny}, {name: am, controlPlane: true}]}", []string{"spec.failureDomains[1]", `"ny"`, "spec.failureDomains[2]", `"am"`, "address of metro da", "controlPlane: false", "global_ipv4", "External"}},
		"control plane out of BGP's reach": {"{metro: da, vipManager: KUBE_VIP, failureDomains: [{name: ny}]}", []string{"spec.failureDomains[0]", `"ny"`}},
		"endpoint without port":            {"{metro: da, controlPlaneEndpoint: {host: 203.0.113.1}}", []string{"spec.controlPlaneEndpoint", "host and port are only possible together"}},
		"endpoint without host":            {"{metro: da, controlPlaneEndpoint: {port: 6443}}", []string{"spec.controlPlaneEndpoint", "host and port are only possible together"}},
		"endpoint's port":                  {"{metro: da, controlPlaneEndpoint: {host: 203.0.113.1, port: 65536}}", []string{"spec.controlPlaneEndpoint.port", "65536", "65535"}},
		"endpoint with scheme":             {"{metro: da, controlPlaneEndpoint: {host: 'https://api', port: 6443}}", []string{"spec.controlPlaneEndpoint.host", `"https://api"`, "without scheme and port"}},
		"endpoint of nobody":               {"{metro: da, controlPlaneEndpoint: {host: 0.0.0.0, port: 6443}}", []string{"spec.controlPlaneEndpoint.host", `"0.0.0.0"`, "can connect to"}},
	} {
		t.Run(name, func(t *testing.T) {
			refused(t, api.Create(t.Context(), object(t, "PacketCluster", nameOf(t), "spec: "+test.spec)), test.want...)
		})
	}
}

func TestPacketClustersThatAreAccepted(t *testing.T) {
	for name, spec := range map[string]string{
		"the least":        "{metro: da}",
		"facility":         "{facility: da11}",
		"everything":       "{metro: da, projectID: " + projectUUID + ", credentialsRef: {name: packet}, failureDomains: [{name: da}, {name: ny, controlPlane: false}], elasticIP: {type: public_ipv4, reclaimPolicy: Retain, tags: [team-a]}}",
		"global":           "{metro: da, failureDomains: [{name: da}, {name: ny}], elasticIP: {type: global_ipv4}}",
		"global kube-vip":  "{metro: da, vipManager: KUBE_VIP, failureDomains: [{name: da}, {name: ny}], elasticIP: {type: global_ipv4}, bgp: {localASN: 65001, passwordSecretRef: {name: bgp, key: md5}}}",
		"external":         "{metro: da, vipManager: External, failureDomains: [{name: da}, {name: ny}], controlPlaneEndpoint: {host: api.example.com, port: 443}}",
		"external, later":  "{metro: da, vipManager: External}",
		"own reservation":  "{metro: da, elasticIP: {reservationID: " + reservationUUID + ", reclaimPolicy: Retain}}",
		"endpoint in IPv6": "{metro: da, controlPlaneEndpoint: {host: '2001:db8::1', port: 6443}}",
	} {
		t.Run(name, func(t *testing.T) {
			o := object(t, "PacketCluster", nameOf(t), "spec: "+spec)
			if err := api.Create(t.Context(), o); err != nil {
				t.Fatalf("it was refused: %v", err)
			}
			if err := api.Delete(t.Context(), o); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestPacketClusterDefaults(t *testing.T) {
	o := object(t, "PacketCluster", nameOf(t), "spec: {metro: da, failureDomains: [{name: da}]}")
	if err := api.Create(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	if got, _, _ := unstructured.NestedString(o.Object, "spec", "vipManager"); got != "CPEM" {
		t.Errorf("vipManager is %q, want CPEM", got)
	}
	domains, _, _ := unstructured.NestedSlice(o.Object, "spec", "failureDomains")
	if len(domains) != 1 || domains[0].(map[string]any)["controlPlane"] != true {
		t.Errorf("failureDomains is %v, want controlPlane true", domains)
	}
}

func TestPacketClusterUpdates(t *testing.T) {
	const endpoint = "controlPlaneEndpoint: {host: 203.0.113.1, port: 6443}"
	for name, test := range map[string]struct {
		before, after string
		// want is what the rejection says; nil if the update is accepted.
		want []string
	}{
		"project":                       {"{metro: da, projectID: " + projectUUID + "}", "{metro: da, projectID: " + reservationUUID + "}", []string{"spec.projectID", projectUUID, reservationUUID}},
		"project is forgotten":          {"{metro: da, projectID: " + projectUUID + "}", "{metro: da}", []string{"spec.projectID", "to nothing"}},
		"project is named":              {"{metro: da}", "{metro: da, projectID: " + projectUUID + "}", nil},
		"VIP manager":                   {"{metro: da}", "{metro: da, vipManager: KUBE_VIP}", []string{"spec.vipManager", "from CPEM to KUBE_VIP"}},
		"VIP manager is named":          {"{metro: da}", "{metro: da, vipManager: CPEM}", nil},
		"type of the elastic IP":        {"{metro: da}", "{metro: da, elasticIP: {type: global_ipv4}}", []string{"spec.elasticIP.type", "from public_ipv4 to global_ipv4"}},
		"type is named":                 {"{metro: da}", "{metro: da, elasticIP: {type: public_ipv4}}", nil},
		"reservation":                   {"{metro: da}", "{metro: da, elasticIP: {reservationID: " + reservationUUID + "}}", []string{"spec.elasticIP.reservationID", "from nothing to " + reservationUUID}},
		"reclaim policy":                {"{metro: da}", "{metro: da, elasticIP: {reclaimPolicy: Retain}}", nil},
		"endpoint is set":               {"{metro: da}", "{metro: da, " + endpoint + "}", nil},
		"endpoint's host":               {"{metro: da, " + endpoint + "}", "{metro: da, controlPlaneEndpoint: {host: 203.0.113.2, port: 6443}}", []string{"spec.controlPlaneEndpoint", "203.0.113.1", "203.0.113.2"}},
		"endpoint's port":               {"{metro: da, " + endpoint + "}", "{metro: da, controlPlaneEndpoint: {host: 203.0.113.1, port: 443}}", []string{"spec.controlPlaneEndpoint", "203.0.113.1"}},
		"endpoint is forgotten":         {"{metro: da, " + endpoint + "}", "{metro: da}", []string{"spec.controlPlaneEndpoint", "203.0.113.1"}},
		"metro before the endpoint":     {"{metro: da}", "{metro: ny}", nil},
		"metro":                         {"{metro: da, " + endpoint + "}", "{metro: ny, " + endpoint + "}", []string{"spec.metro", "from da to ny", "in that metro"}},
		"metro of an external endpoint": {"{metro: da, vipManager: External, " + endpoint + "}", "{metro: ny, vipManager: External, " + endpoint + "}", nil},
		"metro of a global endpoint":    {"{metro: da, elasticIP: {type: global_ipv4}, " + endpoint + "}", "{metro: ny, elasticIP: {type: global_ipv4}, " + endpoint + "}", nil},
		"facility":                      {"{facility: da11, " + endpoint + "}", "{facility: ny5, " + endpoint + "}", []string{"spec.facility", "from da11 to ny5", "metro da"}},
		"facility becomes its metro":    {"{facility: da11, " + endpoint + "}", "{metro: da, " + endpoint + "}", nil},
		"facility becomes another":      {"{facility: da11, " + endpoint + "}", "{metro: ny, " + endpoint + "}", []string{"spec.facility", "from da11 to ny", "metro da"}},
		"credentials":                   {"{metro: da, credentialsRef: {name: a}}", "{metro: da, credentialsRef: {name: b}}", nil},
		"failure domains":               {"{metro: da}", "{metro: da, failureDomains: [{name: da}, {name: ny, controlPlane: false}]}", nil},
		"failure domain out of reach":   {"{metro: da}", "{metro: da, failureDomains: [{name: da}, {name: ny}]}", []string{"spec.failureDomains[1]", `"ny"`}},
	} {
		t.Run(name, func(t *testing.T) {
			o := object(t, "PacketCluster", nameOf(t), "spec: "+test.before)
			if err := api.Create(t.Context(), o); err != nil {
				t.Fatalf("before: %v", err)
			}
			updated(t, o, test.after, test.want)
		})
	}
}

// updated replaces the specification of an object, as `kubectl replace` does.
func updated(t *testing.T, o *unstructured.Unstructured, spec string, want []string) {
	t.Helper()
	content := map[string]any{}
	if err := yaml.Unmarshal([]byte("spec: "+spec), &content); err != nil {
		t.Fatalf("reading %s: %v", spec, err)
	}
	changed := o.DeepCopy()
	changed.Object["spec"] = content["spec"]
	err := api.Update(t.Context(), changed)
	if want != nil {
		refused(t, err, want...)
		before := o.DeepCopy()
		if err := api.Get(t.Context(), client.ObjectKeyFromObject(o), before); err != nil {
			t.Fatal(err)
		}
		if before.GetResourceVersion() != o.GetResourceVersion() {
			t.Error("the rejected update changed the object")
		}
	} else if err != nil {
		t.Errorf("it was refused: %v", err)
	}
}
