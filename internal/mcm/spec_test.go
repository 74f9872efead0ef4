package mcm_test

import (
	"strings"
	"testing"

	"github.com/gardener/machine-controller-manager/pkg/util/provider/driver"
	"github.com/gardener/machine-controller-manager/pkg/util/provider/machinecodes/codes"
	corev1 "k8s.io/api/core/v1"

	"github.com/packetyard/packetyard/internal/apiserver/apiservertest"
)

func TestBadSpecsNameFieldValueAndWhatIsAllowed(t *testing.T) {
	r := newRig(t, apiservertest.Options{})
	for name, test := range map[string]struct {
		fields map[string]any
		want   []string
	}{
		"unknown field":       {map[string]any{"machinetype": "x"}, []string{"providerSpec", "machinetype", "unknown field"}},
		"other version":       {map[string]any{"apiVersion": "mcm.gardener.cloud/v1alpha1"}, []string{"providerSpec.apiVersion", "mcm.gardener.cloud/v1alpha1", "packet.machine.gardener.cloud/v1alpha1"}},
		"other kind":          {map[string]any{"kind": "AWSSpec"}, []string{"providerSpec.kind", "AWSSpec", "ProviderSpec"}},
		"no plan":             {map[string]any{"machineType": nil}, []string{"providerSpec.machineType", "c3.small.x86"}},
		"no place":            {map[string]any{"metro": nil}, []string{"providerSpec.metro", "facilities"}},
		"empty facility":      {map[string]any{"facilities": []string{""}}, []string{"providerSpec.facilities(0)", "ny5"}},
		"no system":           {map[string]any{"OS": nil}, []string{"providerSpec.OS", "ubuntu_24_04", "ipxeScriptUrl"}},
		"system and script":   {map[string]any{"ipxeScriptUrl": "https://a.example.com/"}, []string{"providerSpec.OS", "ubuntu_24_04", "custom_ipxe"}},
		"bad script":          {map[string]any{"OS": nil, "ipxeScriptUrl": "boot.ipxe"}, []string{"providerSpec.ipxeScriptUrl", "boot.ipxe", "https://"}},
		"billing":             {map[string]any{"billingCycle": "weekly"}, []string{"providerSpec.billingCycle", "weekly", "hourly"}},
		"no cluster":          {map[string]any{"tags": []string{roleTag}}, []string{"providerSpec.tags", "kubernetes.io/cluster/"}},
		"cluster without":     {map[string]any{"tags": []string{"kubernetes.io/cluster/", roleTag}}, []string{"providerSpec.tags", "kubernetes.io/cluster/"}},
		"two clusters":        {map[string]any{"tags": []string{clusterTag, roleTag, "kubernetes.io/cluster/other"}}, []string{"providerSpec.tags(2)", "kubernetes.io/cluster/other", "second cluster"}},
		"no role":             {map[string]any{"tags": []string{clusterTag}}, []string{"providerSpec.tags", "kubernetes.io/role/"}},
		"the driver's tag":    {map[string]any{"tags": []string{clusterTag, roleTag, "machine.sapcloud.io/name:other"}}, []string{"providerSpec.tags(2)", "machine.sapcloud.io/name:other", "driver"}},
		"the driver's VLAN":   {map[string]any{"tags": []string{clusterTag, roleTag, "machine.sapcloud.io/vlan:1"}}, []string{"providerSpec.tags(2)", "machine.sapcloud.io/vlan:1", "driver"}},
		"long tag":            {map[string]any{"tags": []string{clusterTag, roleTag, strings.Repeat("x", 81)}}, []string{"providerSpec.tags(2)", "80"}},
		"key":                 {map[string]any{"sshKeys": []string{"my-key"}}, []string{"providerSpec.sshKeys(0)", "my-key", "UUID"}},
		"reservation":         {map[string]any{"reservationIDs": []string{"any"}}, []string{"providerSpec.reservationIDs(0)", `"any"`, "next-available"}},
		"same reservation":    {map[string]any{"reservationIDs": []string{"next-available", "next-available"}}, []string{"providerSpec.reservationIDs(1)", "Duplicate"}},
		"reserved of nothing": {map[string]any{"reservedDevicesOnly": true}, []string{"providerSpec.reservationIDs", "reservedDevicesOnly"}},
		"price":               {map[string]any{"spotPriceMax": "cheap"}, []string{"providerSpec.spotPriceMax", "cheap", "0.35"}},
		"endless price":       {map[string]any{"spotPriceMax": "Inf"}, []string{"providerSpec.spotPriceMax", "Inf"}},
		"no price":            {map[string]any{"spotPriceMax": "0"}, []string{"providerSpec.spotPriceMax", `"0"`}},
		"spot and reserved":   {map[string]any{"spotPriceMax": "1", "reservationIDs": []string{"next-available"}, "reservedDevicesOnly": true}, []string{"providerSpec.spotPriceMax", "reservedDevicesOnly"}},
		"private block":       {map[string]any{"privateIPReservationIDs": []string{"10.0.0.0/24"}}, []string{"providerSpec.privateIPReservationIDs(0)", "10.0.0.0/24", "UUID"}},
		"VLAN":                {map[string]any{"vlans": []string{"1000"}}, []string{"providerSpec.vlans(0)", "1000", "UUID"}},
		"storage":             {map[string]any{"storage": map[string]any{"discs": []any{}}}, []string{"providerSpec.storage", "discs"}},
		"project":             {map[string]any{"projectID": "my-project"}, []string{"providerSpec.projectID", "my-project", "UUID"}},
		"no project":          {map[string]any{"projectID": nil}, []string{"providerSpec.projectID", "secret.data(projectID)"}},
		"no address":          {map[string]any{"apiURL": nil}, []string{"providerSpec.apiURL", "secret.data(apiURL)"}},
		"address":             {map[string]any{"apiURL": "metal.example.com"}, []string{"providerSpec.apiURL", "metal.example.com", "https"}},
		"password":            {map[string]any{"apiURL": "https://me:abcdef.0123456789abcdef@a.example.com"}, []string{"providerSpec.apiURL", "password"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := r.create(r.class(test.fields), machine("node-0"))
			r.wants(err, codes.InvalidArgument, append(test.want, "pool-a1b2c")...)
		})
	}
	if asked := r.wire.count(""); asked != 0 {
		t.Errorf("the API was asked %d times", asked)
	}
}

func TestBadSecretsAreNamedAndNotShown(t *testing.T) {
	r := newRig(t, apiservertest.Options{})
	for name, test := range map[string]struct {
		change func(map[string][]byte)
		want   []string
	}{
		"no token":        {func(d map[string][]byte) { delete(d, "apiToken") }, []string{"secret.data(apiToken)", "alternateApiToken"}},
		"line end":        {func(d map[string][]byte) { d["apiToken"] = append(d["apiToken"], '\n') }, []string{"secret.data(apiToken)", "line ends"}},
		"no user data":    {func(d map[string][]byte) { delete(d, "userData") }, []string{"secret.data(userData)"}},
		"large user data": {func(d map[string][]byte) { d["userData"] = []byte(strings.Repeat(bootstrap, 2000)) }, []string{"secret.data(userData)", "65536"}},
	} {
		t.Run(name, func(t *testing.T) {
			secret := r.secret()
			test.change(secret.Data)
			_, err := r.driver.CreateMachine(t.Context(), &driver.CreateMachineRequest{Machine: machine("node-0"), MachineClass: r.class(nil), Secret: secret})
			r.wants(err, codes.InvalidArgument, test.want...)
		})
	}
}

// The alternate token was checked and never used; what the MachineClass does not say, the Secret may.
func TestAlternateTokenAndAccountInTheSecret(t *testing.T) {
	r := newRig(t, apiservertest.Options{})
	secret := &corev1.Secret{Data: map[string][]byte{
		"alternateApiToken": []byte(r.api.Token), "projectID": []byte(r.api.ProjectID), "apiURL": []byte(r.api.URL), "userData": []byte(bootstrap),
	}}
	class := r.class(map[string]any{"projectID": nil, "apiURL": nil})
	class.Provider = "packet"
	if _, err := r.driver.CreateMachine(t.Context(), &driver.CreateMachineRequest{Machine: machine("node-0"), MachineClass: class, Secret: secret}); err != nil {
		t.Error(err)
	}
}

func TestMachineClassOfAnotherProviderIsRefused(t *testing.T) {
	r := newRig(t, apiservertest.Options{})
	class := r.class(nil)
	class.Provider = "AWS"
	_, err := r.create(class, machine("node-0"))
	r.wants(err, codes.InvalidArgument, "provider", `"AWS"`, `"Packet"`)
	r.wants(r.delete(class, machine("node-0")), codes.InvalidArgument, `"AWS"`)
}

// A MachineClass that can make no device must not keep its Machines from being deleted.
func TestMachineOfInvalidClassCanBeDeleted(t *testing.T) {
	r := newRig(t, apiservertest.Options{})
	response := r.mustCreate(r.class(nil), "node-0")
	broken := r.class(map[string]any{"machineType": nil, "billingCycle": "weekly", "surprise": true})
	if _, err := r.status(broken, of("node-0", response.ProviderID)); err != nil {
		t.Errorf("its status: %v", err)
	}
	if listed := r.list(broken); len(listed) != 1 {
		t.Errorf("listed are %v", listed)
	}
	r.deleteLikeMCM(broken, of("node-0", response.ProviderID))
	if left := r.devices(); len(left) != 0 {
		t.Errorf("%d devices are left", len(left))
	}
}
