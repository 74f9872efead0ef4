{{- define "packet-api-server.name" -}}
{{- if contains .Chart.Name .Release.Name }}{{ .Release.Name | trunc 52 | trimSuffix "-" }}{{ else }}{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 52 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "packet-api-server.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "packet-api-server.labels" -}}
{{ include "packet-api-server.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- define "packet-api-server.secret" -}}
{{ .Values.credentials.existingSecret | default (include "packet-api-server.name" .) }}
{{- end }}

{{- define "packet-api-server.servicePort" -}}
{{- if .Values.service.port }}{{ .Values.service.port }}{{ else if .Values.tls.secretName }}443{{ else }}80{{ end }}
{{- end }}

{{- define "packet-api-server.scheme" -}}
{{ if .Values.tls.secretName }}HTTPS{{ else }}HTTP{{ end }}
{{- end }}

{{- /* The pod is the same whether it has a volume of its own or not. */}}
{{- define "packet-api-server.pod" -}}
metadata:
  labels:
    {{- include "packet-api-server.selector" . | nindent 4 }}
  annotations:
    checksum/config: {{ toYaml .Values.config | sha256sum }}
    prometheus.io/scrape: "true"
    prometheus.io/path: /_packetyard/metrics
    prometheus.io/port: "8080"
    prometheus.io/scheme: {{ include "packet-api-server.scheme" . | lower }}
    {{- with .Values.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  serviceAccountName: {{ include "packet-api-server.name" . }}
  # The server asks nothing of Kubernetes.
  automountServiceAccountToken: false
  {{- with .Values.imagePullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  securityContext:
    runAsNonRoot: true
    runAsUser: 65532
    runAsGroup: 65532
    fsGroup: 65532
    seccompProfile:
      type: RuntimeDefault
  # Requests that are being answered have five seconds; the store closes then.
  terminationGracePeriodSeconds: 30
  containers:
  - name: packet-api-server
    image: "{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}"
    imagePullPolicy: {{ .Values.image.pullPolicy }}
    args:
    - --listen-address=0.0.0.0:8080
    - --data-dir=/data
    - --config=/etc/packet-api-server/config.yaml
    {{- if .Values.etcd.endpoints }}
    - --etcd-endpoints={{ join "," .Values.etcd.endpoints }}
    {{- end }}
    {{- if .Values.etcd.tlsSecretName }}
    - --etcd-cafile=/etc/packet-api-server/etcd/ca.crt
    - --etcd-certfile=/etc/packet-api-server/etcd/tls.crt
    - --etcd-keyfile=/etc/packet-api-server/etcd/tls.key
    {{- end }}
    {{- if .Values.tls.secretName }}
    - --tls-cert=/etc/packet-api-server/tls/tls.crt
    - --tls-key=/etc/packet-api-server/tls/tls.key
    {{- end }}
    env:
    - name: PACKET_API_TOKEN
      valueFrom:
        secretKeyRef:
          name: {{ include "packet-api-server.secret" . }}
          key: apiToken
    - name: PACKET_PROJECT_ID
      valueFrom:
        secretKeyRef:
          name: {{ include "packet-api-server.secret" . }}
          key: projectID
    {{- with .Values.extraEnv }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
    ports:
    - name: api
      containerPort: 8080
    startupProbe:
      httpGet:
        path: /_packetyard/health
        port: api
        scheme: {{ include "packet-api-server.scheme" . }}
      periodSeconds: 1
      failureThreshold: 120
    livenessProbe:
      httpGet:
        path: /_packetyard/health
        port: api
        scheme: {{ include "packet-api-server.scheme" . }}
      timeoutSeconds: 5
    readinessProbe:
      httpGet:
        path: /_packetyard/ready
        port: api
        scheme: {{ include "packet-api-server.scheme" . }}
      periodSeconds: 5
      timeoutSeconds: 5
    resources:
      {{- toYaml .Values.resources | nindent 6 }}
    securityContext:
      allowPrivilegeEscalation: false
      readOnlyRootFilesystem: true
      capabilities:
        drop: [ALL]
    volumeMounts:
    - name: data
      mountPath: /data
    - name: config
      mountPath: /etc/packet-api-server
      readOnly: true
    {{- if .Values.tls.secretName }}
    - name: tls
      mountPath: /etc/packet-api-server/tls
      readOnly: true
    {{- end }}
    {{- if .Values.etcd.tlsSecretName }}
    - name: etcd-tls
      mountPath: /etc/packet-api-server/etcd
      readOnly: true
    {{- end }}
  volumes:
  - name: config
    configMap:
      name: {{ include "packet-api-server.name" . }}
  {{- if .Values.tls.secretName }}
  - name: tls
    secret:
      secretName: {{ .Values.tls.secretName }}
      defaultMode: 0440
  {{- end }}
  {{- if .Values.etcd.tlsSecretName }}
  - name: etcd-tls
    secret:
      secretName: {{ .Values.etcd.tlsSecretName }}
      defaultMode: 0440
  {{- end }}
  {{- if .Values.etcd.endpoints }}
  - name: data
    emptyDir: {}
  {{- end }}
  {{- with .Values.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- if .Values.affinity }}
  affinity:
    {{- toYaml .Values.affinity | nindent 4 }}
  {{- else if .Values.etcd.endpoints }}
  topologySpreadConstraints:
  - maxSkew: 1
    topologyKey: kubernetes.io/hostname
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "packet-api-server.selector" . | nindent 8 }}
  {{- end }}
{{- end }}
