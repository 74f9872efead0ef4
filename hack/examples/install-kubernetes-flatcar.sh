#!/bin/sh
# Installs the release of Kubernetes that KUBERNETES_VERSION names, for example v1.36.4, as a system extension:
# Flatcar has containerd, and no packages. Nothing happens where the image has that release.
set -eu
if [ "$(kubeadm version -o short 2>/dev/null || true)" = "$KUBERNETES_VERSION" ]; then
  exit 0
fi
name="kubernetes-$KUBERNETES_VERSION-$(uname -m | sed -e 's/x86_64/x86-64/' -e 's/aarch64/arm64/').raw"
mkdir -p /opt/extensions/kubernetes /etc/extensions
curl -fsSL --retry 5 -o "/opt/extensions/kubernetes/$name" "https://extensions.flatcar.org/extensions/$name"
ln -sf "/opt/extensions/kubernetes/$name" /etc/extensions/kubernetes.raw
systemd-sysext refresh
systemctl daemon-reload
systemctl enable --now kubelet
