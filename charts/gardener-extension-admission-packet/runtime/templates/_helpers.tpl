{{- define "name" -}}
gardener-extension-admission-packet
{{- end -}}

{{- define "selector" -}}
app.kubernetes.io/name: gardener-extension-admission-packet
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}
