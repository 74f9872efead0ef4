{{- define "name" -}}
gardener-extension-provider-packet
{{- end -}}

{{- define "selector" -}}
app.kubernetes.io/name: gardener-extension-provider-packet
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "labels" -}}
app: gardener-extension-provider-packet
{{ include "selector" . }}
{{- end -}}

{{- define "ignored" -}}
{{- if .Values.ignoreResources }}
resources.gardener.cloud/ignore: "true"
{{- end }}
{{- end -}}

{{- define "port.metrics" -}}
{{- if .Values.usablePorts }}{{ index .Values.usablePorts 0 }}{{ else }}{{ .Values.metricsPort }}{{ end -}}
{{- end -}}

{{- define "port.webhook" -}}
{{- if .Values.usablePorts }}{{ index .Values.usablePorts 1 }}{{ else }}{{ .Values.webhookConfig.serverPort }}{{ end -}}
{{- end -}}

{{- define "port.health" -}}
{{- if .Values.usablePorts }}{{ index .Values.usablePorts 2 }}{{ else }}{{ .Values.healthPort }}{{ end -}}
{{- end -}}

{{- define "config" -}}
apiVersion: packet.provider.extensions.config.gardener.cloud/v1alpha1
kind: ControllerConfiguration
{{ toYaml .Values.config }}
{{- end -}}
