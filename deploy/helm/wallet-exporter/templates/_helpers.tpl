{{/* Names and labels. */}}
{{- define "wallet-exporter.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "wallet-exporter.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" }}
{{- else if contains (include "wallet-exporter.name" .) .Release.Name }}
{{- .Release.Name | trunc 40 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name (include "wallet-exporter.name" .) | trunc 40 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "wallet-exporter.selectorLabels" -}}
app.kubernetes.io/name: {{ include "wallet-exporter.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "wallet-exporter.labels" -}}
{{ include "wallet-exporter.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name (.Chart.Version | replace "+" "_") }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "wallet-exporter.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}
{{- end }}

{{- define "wallet-exporter.secretName" -}}
{{ .Values.credentials.existingSecret | default (include "wallet-exporter.fullname" .) }}
{{- end }}

{{- define "wallet-exporter.scheme" -}}
{{ if and .Values.webConfig.existingSecret .Values.webConfig.tls }}https{{ else }}http{{ end }}
{{- end }}

{{- define "wallet-exporter.metricsPath" -}}
{{ index .Values.config "WEB_TELEMETRY_PATH" | default "/metrics" }}
{{- end }}

{{- define "wallet-exporter.address" -}}
{{ include "wallet-exporter.fullname" . }}.{{ .Release.Namespace }}.svc:{{ .Values.service.port }}
{{- end }}

{{/* What cannot work is refused, with what to set. */}}
{{- define "wallet-exporter.validate" -}}
{{- $secret := .Values.credentials -}}
{{- if .Values.demo -}}
  {{- if .Values.webhook.enabled -}}{{ fail "webhook.enabled: the demo has no webhook; set demo or webhook.enabled to false" }}{{- end -}}
{{- else -}}
  {{- if not (or .Values.batchdata.enabled .Values.rightfoot.enabled) -}}
    {{ fail "no vendor is on: set batchdata.enabled or rightfoot.enabled, or demo to see it with simulated vendors" }}
  {{- end -}}
  {{- if and .Values.batchdata.enabled (not (or $secret.existingSecret $secret.batchdataApiToken)) -}}
    {{ fail "BatchData needs its token: set credentials.existingSecret or credentials.batchdataApiToken, or batchdata.enabled to false, or demo to true" }}
  {{- end -}}
  {{- if and .Values.rightfoot.enabled (not (or $secret.existingSecret $secret.rightfootApiKey)) -}}
    {{ fail "Rightfoot needs its key: set credentials.existingSecret or credentials.rightfootApiKey" }}
  {{- end -}}
  {{- if .Values.webhook.enabled -}}
    {{- if not .Values.rightfoot.enabled -}}{{ fail "webhook.enabled needs rightfoot.enabled" }}{{- end -}}
    {{- if not (or $secret.existingSecret $secret.rightfootWebhookSecret) -}}
      {{ fail "the webhook needs its secret: set credentials.existingSecret or credentials.rightfootWebhookSecret" }}
    {{- end -}}
    {{- if and .Values.webhook.acceptOldSecret (not (or $secret.existingSecret $secret.rightfootWebhookOldSecret)) -}}
      {{ fail "webhook.acceptOldSecret: set credentials.existingSecret or credentials.rightfootWebhookOldSecret" }}
    {{- end -}}
  {{- end -}}
{{- end -}}
{{- if and $secret.existingSecret (or $secret.batchdataApiToken $secret.rightfootApiKey $secret.rightfootWebhookSecret $secret.rightfootWebhookOldSecret) -}}
  {{ fail "credentials: set existingSecret or the values themselves, not both" }}
{{- end -}}
{{- if and .Values.serviceMonitor.enabled .Values.scrapeConfig.enabled -}}
  {{ fail "serviceMonitor and scrapeConfig are both enabled: every figure would be there twice" }}
{{- end -}}
{{- if and .Values.webhook.ingress.enabled (not .Values.webhook.enabled) -}}
  {{ fail "webhook.ingress.enabled needs webhook.enabled" }}
{{- end -}}
{{- if and .Values.webhook.ingress.enabled (not .Values.webhook.ingress.host) -}}
  {{ fail "webhook.ingress.host: the name by which Rightfoot reaches the webhook" }}
{{- end -}}
{{- end }}
