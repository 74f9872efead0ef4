{{- /* What Deployment, Service, PodDisruptionBudget and ServiceMonitor select by: there is one place for it, so that they cannot differ. */ -}}
{{- define "ccm.selector" -}}
app: kubernetes
role: cloud-controller-manager
{{- end }}

{{- /* Where the server listens. */ -}}
{{- define "ccm.port" -}}
10258
{{- end }}
