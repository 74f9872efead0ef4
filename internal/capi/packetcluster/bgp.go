package packetcluster

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"sigs.k8s.io/cluster-api/util/conditions"

	infrav1 "github.com/packetyard/packetyard/api/infrastructure/v1beta2"
	"github.com/packetyard/packetyard/pkg/packet"
)

// ensureBGP makes sure that the project speaks BGP, which kube-vip announces the endpoint with. It is asked for once per
// project, and stays when the cluster goes: other clusters use it too.
func (r *Reconciler) ensureBGP(ctx context.Context, s *scope) (ready bool, _ ctrl.Result, _ error) {
	cluster := s.packetCluster
	if conditions.IsTrue(cluster, infrav1.BGPReadyCondition) {
		return true, ctrl.Result{}, nil
	}
	password, problem, err := r.bgpPassword(ctx, cluster)
	if err != nil {
		return false, ctrl.Result{}, err
	}
	if problem != "" {
		return r.bgpProblem(cluster, infrav1.BGPPasswordMissingReason, problem)
	}
	asn := cluster.Spec.BGP.LocalASN
	if asn == 0 {
		asn = infrav1.DefaultLocalASN
	}
	config, err := s.account.Client.BGPConfig(ctx, s.account.ProjectID)
	if err == nil && config.ID == "" {
		if err = s.account.Client.RequestBGPConfig(ctx, s.account.ProjectID, packet.BGPConfigRequest{
			DeploymentType: packet.BGPLocal, ASN: asn, MD5: password, UseCase: "kube-vip announces control plane endpoints",
		}); err == nil {
			ctrl.LoggerFrom(ctx).Info("Enabled BGP", "project", s.account.ProjectID, "asn", asn)
			r.Recorder.Eventf(cluster, nil, "Normal", "BGPRequested", "Enable", "Asked for BGP on project %s", s.account.ProjectID)
			config, err = s.account.Client.BGPConfig(ctx, s.account.ProjectID)
		}
	}
	if err != nil {
		result, err := r.apiFailureOf(ctx, s, infrav1.BGPReadyCondition, infrav1.BGPEnableFailedReason, fmt.Errorf("enabling BGP on project %s: %w", s.account.ProjectID, err))
		return false, result, err
	}
	switch {
	case config.ASN != asn:
		return r.bgpProblem(cluster, infrav1.BGPMismatchReason, fmt.Sprintf(
			"spec.bgp.localASN: project %s speaks BGP as AS %d already, not as %d: all clusters of a project use the same", s.account.ProjectID, config.ASN, asn))
	case md5Of(config) != password:
		return r.bgpProblem(cluster, infrav1.BGPMismatchReason, fmt.Sprintf(
			"spec.bgp.passwordSecretRef: project %s speaks BGP with another password already, or with none: all clusters of a project use the same", s.account.ProjectID))
	case !config.Enabled():
		set(cluster, infrav1.BGPReadyCondition, false, infrav1.BGPPendingReason, fmt.Sprintf(
			"BGP of project %s is %s: Packet has to approve it", s.account.ProjectID, config.Status))
		return false, ctrl.Result{RequeueAfter: 5 * r.PollInterval}, nil
	}
	set(cluster, infrav1.BGPReadyCondition, true, infrav1.BGPEnabledReason, "")
	return true, ctrl.Result{}, nil
}

func (r *Reconciler) bgpProblem(cluster *infrav1.PacketCluster, reason, message string) (ready bool, _ ctrl.Result, _ error) {
	if conditions.GetMessage(cluster, infrav1.BGPReadyCondition) != message {
		r.Recorder.Eventf(cluster, nil, "Warning", reason, "Enable", "%s", message)
	}
	set(cluster, infrav1.BGPReadyCondition, false, reason, message)
	return false, ctrl.Result{RequeueAfter: refusedRetry}, nil
}

func md5Of(config *packet.BGPConfig) string {
	if config.MD5 == nil {
		return ""
	}
	return *config.MD5
}

// bgpPassword reads the password of the BGP sessions; the problem says what the user has to do about it.
func (r *Reconciler) bgpPassword(ctx context.Context, cluster *infrav1.PacketCluster) (password, problem string, err error) {
	ref := cluster.Spec.BGP.PasswordSecretRef
	if ref.Name == "" {
		return "", "", nil
	}
	name := ref.Key
	if name == "" {
		name = infrav1.DefaultBGPPasswordKey
	}
	key := client.ObjectKey{Namespace: cluster.Namespace, Name: ref.Name}
	secret := &corev1.Secret{}
	err = r.Client.Get(ctx, key, secret)
	switch {
	case apierrors.IsNotFound(err):
		return "", fmt.Sprintf("spec.bgp.passwordSecretRef: there is no Secret %s: create it with the key %s", key, name), nil
	case err != nil:
		return "", "", fmt.Errorf("reading Secret %s: %w", key, err)
	case len(secret.Data[name]) == 0:
		return "", fmt.Sprintf("spec.bgp.passwordSecretRef: Secret %s has no key %s: it is 10 to 20 letters and digits", key, name), nil
	}
	return string(secret.Data[name]), "", nil
}
