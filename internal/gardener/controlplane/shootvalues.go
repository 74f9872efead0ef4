package controlplane

import (
	"context"
	"slices"

	corev1 "k8s.io/api/core/v1"

	extensionscontroller "github.com/gardener/gardener/extensions/pkg/controller"
	v1beta1helper "github.com/gardener/gardener/pkg/api/core/v1beta1/helper"
	gardencorev1beta1 "github.com/gardener/gardener/pkg/apis/core/v1beta1"
	extensionsv1alpha1 "github.com/gardener/gardener/pkg/apis/extensions/v1alpha1"
	secretsutils "github.com/gardener/gardener/pkg/utils/secrets"
	secretsmanager "github.com/gardener/gardener/pkg/utils/secrets/manager"

	"github.com/packetyard/packetyard/api/packet/v1alpha1"
	"github.com/packetyard/packetyard/internal/gardener/faults"
)

// GetControlPlaneShootChartValues implements genericactuator.ValuesProvider.
func (p *valuesProvider) GetControlPlaneShootChartValues(
	_ context.Context,
	cp *extensionsv1alpha1.ControlPlane,
	cluster *extensionscontroller.Cluster,
	secrets secretsmanager.Reader,
	_ map[string]string,
) (map[string]any, error) {
	config, err := configOf(cp, cluster)
	if err != nil {
		return nil, faults.Coded(err)
	}
	chosen := implementation(config)
	metalLB := map[string]any{"enabled": false}
	if chosen == v1alpha1.LoadBalancerMetalLB {
		ca, err := secretOf(secrets, certificateAuthority)
		if err != nil {
			return nil, err
		}
		server, err := secretOf(secrets, webhookCertificate)
		if err != nil {
			return nil, err
		}
		metalLB = map[string]any{
			"enabled":               true,
			"namespace":             MetalLBNamespace,
			"verticalPodAutoscaler": v1beta1helper.ShootWantsVerticalPodAutoscaler(cluster.Shoot),
			"tolerations":           systemComponentTolerations(cluster.Shoot.Spec.Provider.Workers),
			"webhook": map[string]any{
				"caBundle":    string(ca.Data[secretsutils.DataKeyCertificateBundle]),
				"certificate": string(server.Data[secretsutils.DataKeyCertificate]),
				"key":         string(server.Data[secretsutils.DataKeyPrivateKey]),
			},
		}
	}
	return map[string]any{
		"cloudControllerManager": map[string]any{"services": chosen != v1alpha1.LoadBalancerDisabled},
		"metallb":                metalLB,
	}, nil
}

// GetControlPlaneShootCRDsChartValues implements genericactuator.ValuesProvider.
func (p *valuesProvider) GetControlPlaneShootCRDsChartValues(
	_ context.Context,
	cp *extensionsv1alpha1.ControlPlane,
	cluster *extensionscontroller.Cluster,
) (map[string]any, error) {
	config, err := configOf(cp, cluster)
	if err != nil {
		return nil, faults.Coded(err)
	}
	return map[string]any{"metallb": map[string]any{"enabled": implementation(config) == v1alpha1.LoadBalancerMetalLB}}, nil
}

// systemComponentTolerations are those for the taints of the worker pools that system components may run on. gardener-resource-manager
// adds them by itself in kube-system alone. To tolerate everything would have pods go to nodes that are being drained.
func systemComponentTolerations(workers []gardencorev1beta1.Worker) []any {
	tolerations := []any{}
	var seen []corev1.Taint
	for _, worker := range workers {
		if !v1beta1helper.SystemComponentsAllowed(&worker) {
			continue
		}
		for _, taint := range worker.Taints {
			known := slices.ContainsFunc(seen, func(other corev1.Taint) bool { return taint.MatchTaint(&other) && taint.Value == other.Value })
			if known {
				continue
			}
			seen = append(seen, taint)
			toleration := map[string]any{"key": taint.Key, "effect": string(taint.Effect), "operator": string(corev1.TolerationOpExists)}
			if taint.Value != "" {
				toleration["operator"], toleration["value"] = string(corev1.TolerationOpEqual), taint.Value
			}
			tolerations = append(tolerations, toleration)
		}
	}
	return tolerations
}
