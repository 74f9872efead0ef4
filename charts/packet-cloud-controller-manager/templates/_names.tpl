{{- define "ccm.name" -}}
{{ .Values.nameOverride | default .Chart.Name }}
{{- end }}

{{- define "ccm.labels" -}}
app.kubernetes.io/name: {{ include "ccm.name" . }}
{{- end }}

{{- define "ccm.serviceAccountName" -}}
{{ .Values.serviceAccount.name | default (include "ccm.name" .) }}
{{- end }}

{{- /* Whether Services of type LoadBalancer are looked at. */ -}}
{{- define "ccm.services" -}}
{{- if or .Values.loadBalancer (eq .Values.bgp "services") }}true{{ end -}}
{{- end }}

{{- /* Whether nodes get annotations for BGP: the rights to them are among those to nodes. */ -}}
{{- define "ccm.metallb" -}}
{{- if hasPrefix "metallb:" .Values.loadBalancer }}true{{ end -}}
{{- end }}

{{- /* The namespace and the name of metallb://namespace/name?…, with MetalLB's own if left out. */ -}}
{{- define "ccm.metallbNamespace" -}}
{{- regexReplaceAll "^metallb://([^/?]*).*$" .Values.loadBalancer "${1}" | default "metallb-system" -}}
{{- end }}
