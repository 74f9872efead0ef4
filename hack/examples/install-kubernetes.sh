#!/bin/sh
# Installs containerd and the release of Kubernetes that KUBERNETES_VERSION names, for example v1.36.4, from the
# packages of the Kubernetes project. Nothing happens where the image has that release.
set -eu
release=$(echo "$KUBERNETES_VERSION" | sed 's/^v//')
minor=$(echo "$release" | cut -d. -f1,2)

if [ "$(kubeadm version -o short 2>/dev/null || true)" = "v$release" ] &&
  [ "$(kubelet --version 2>/dev/null || true)" = "Kubernetes v$release" ]; then
  exit 0
fi

export DEBIAN_FRONTEND=noninteractive
# Where the packages are known already, no repository is added.
install_packages() {
  apt-get install -y --allow-change-held-packages "kubelet=$release-*" "kubeadm=$release-*" "kubectl=$release-*"
}
if ! install_packages; then
  apt-get update
  apt-get install -y apt-transport-https ca-certificates curl gpg
  mkdir -p -m 755 /etc/apt/keyrings
  curl -fsSL --retry 5 "https://pkgs.k8s.io/core:/stable:/v$minor/deb/Release.key" |
    gpg --batch --yes --dearmor -o /etc/apt/keyrings/kubernetes-apt-keyring.gpg
  echo "deb [signed-by=/etc/apt/keyrings/kubernetes-apt-keyring.gpg] https://pkgs.k8s.io/core:/stable:/v$minor/deb/ /" \
    >/etc/apt/sources.list.d/kubernetes.list
  apt-get update
  install_packages
fi
apt-mark hold kubelet kubeadm kubectl

if ! [ -S /run/containerd/containerd.sock ]; then
  apt-get install -y containerd
  mkdir -p /etc/containerd
  containerd config default | sed 's/SystemdCgroup = false/SystemdCgroup = true/' >/etc/containerd/config.toml
  systemctl restart containerd
  printf 'overlay\nbr_netfilter\n' >/etc/modules-load.d/kubernetes.conf
  modprobe overlay
  modprobe br_netfilter
  printf 'net.bridge.bridge-nf-call-iptables = 1\nnet.ipv4.ip_forward = 1\n' >/etc/sysctl.d/90-kubernetes.conf
  sysctl --system
  swapoff -a
fi
systemctl enable --now kubelet
