package bgp

import (
	"context"
	"errors"
	"fmt"

	"k8s.io/klog/v2"

	"github.com/packetyard/packetyard/pkg/packet"
)

// ErrRequested tells that BGP was asked for and that somebody must approve it,
// as the API demands for global BGP. Asking again later is all there is to do.
var ErrRequested = errors.New("BGP of the project waits for its approval")

// useCase is what the API wants to know from everybody who asks for BGP.
const useCase = "kubernetes-load-balancer"

// EnsureProject enables BGP for the project, unless it is enabled already, and
// returns the configuration that is in effect. That one wins over what this
// program was configured with: the project may have had BGP before.
//
// It asks the API at most once in projectTTL (findBgpConfigByProject and, where
// there is none, requestBgpConfig).
func (b *BGP) EnsureProject(ctx context.Context) (*packet.BGPConfig, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.ensureProject(ctx)
}

func (b *BGP) ensureProject(ctx context.Context) (*packet.BGPConfig, error) {
	if b.project != nil && b.config.Clock.Now().Sub(b.projectTaken) < projectTTL {
		return b.project, nil
	}
	taken := b.config.Clock.Now()
	project, err := b.config.API.BGPConfig(ctx, b.config.ProjectID)
	if err != nil {
		// What failed is reading. To enable BGP on the strength of that would
		// be to change what nobody has looked at.
		return nil, fmt.Errorf("reading the BGP configuration of project %s: %w", b.config.ProjectID, err)
	}
	if project.ID == "" || project.Status == packet.BGPDisabled {
		if project, err = b.requestBGP(ctx); err != nil {
			return nil, err
		}
	}
	switch {
	case project.Status == packet.BGPRequested:
		return nil, fmt.Errorf("project %s: %w", b.config.ProjectID, ErrRequested)
	case !project.Enabled():
		return nil, fmt.Errorf("BGP of project %s is in status %q after it was asked for, want %q", b.config.ProjectID, project.Status, packet.BGPEnabled)
	}
	if b.project == nil && b.config.LocalASN != 0 && b.config.LocalASN != project.ASN {
		klog.InfoS("The project has another ASN than the one that is configured, and keeps it",
			"project", b.config.ProjectID, "asn", project.ASN, "configured", b.config.LocalASN)
	}
	b.project, b.projectTaken = project, taken
	return project, nil
}

func (b *BGP) requestBGP(ctx context.Context) (*packet.BGPConfig, error) {
	err := b.config.API.RequestBGPConfig(ctx, b.config.ProjectID, packet.BGPConfigRequest{
		DeploymentType: packet.BGPLocal, ASN: b.config.LocalASN, MD5: b.config.Password, UseCase: useCase,
	})
	if err != nil {
		return nil, fmt.Errorf("enabling BGP for project %s: %w", b.config.ProjectID, err)
	}
	klog.InfoS("Asked for BGP", "project", b.config.ProjectID, "asn", b.config.LocalASN)
	project, err := b.config.API.BGPConfig(ctx, b.config.ProjectID)
	if err != nil {
		return nil, fmt.Errorf("reading the BGP configuration of project %s: %w", b.config.ProjectID, err)
	}
	return project, nil
}
