{{- /* The rights outlive the ManagedResource: the cloud controller manager in the seed ends after it, and has Services to clean up until then. */ -}}
{{- define "keep" -}}
resources.gardener.cloud/keep-object: "true"
{{- end }}

{{- /* The account that Gardener makes for the Secret shoot-access-cloud-controller-manager. */ -}}
{{- define "ccm.subjects" -}}
- kind: ServiceAccount
  name: cloud-controller-manager
  namespace: kube-system
{{- end }}

{{- define "metallb.selector" -}}
app.kubernetes.io/name: metallb
app.kubernetes.io/component: {{ . }}
{{- end }}
