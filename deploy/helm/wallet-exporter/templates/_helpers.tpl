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

{{/* Whether an accounts file takes the place of the vendors' variables, and whether several pods share its accounts. */}}
{{- define "wallet-exporter.accounts" -}}
{{- if and (or .Values.accounts.content .Values.accounts.existingConfigMap) (not .Values.demo) }}true{{ end }}
{{- end }}

{{- define "wallet-exporter.sharded" -}}
{{- if gt (int .Values.shards) 1 }}true{{ end }}
{{- end }}

{{- define "wallet-exporter.claim" -}}
accessModes:
  {{- toYaml .Values.persistence.accessModes | nindent 2 }}
{{- with .Values.persistence.storageClassName }}
storageClassName: {{ . }}
{{- end }}
resources:
  requests:
    storage: {{ .Values.persistence.size }}
{{- end }}

{{/* That of shards has a name of its own: a Service cannot become headless. */}}
{{- define "wallet-exporter.service" -}}
{{ include "wallet-exporter.fullname" . }}{{ if include "wallet-exporter.sharded" . }}-shards{{ end }}
{{- end }}

{{/* What Prometheus scrapes: the Service, or each shard by the name of its pod, at the pod's own port. */}}
{{- define "wallet-exporter.targets" -}}
{{- if include "wallet-exporter.sharded" . -}}
{{- range until (int .Values.shards) }}
- {{ include "wallet-exporter.fullname" $ }}-{{ . }}.{{ include "wallet-exporter.service" $ }}.{{ $.Release.Namespace }}.svc:10700
{{- end }}
{{- else -}}
- {{ include "wallet-exporter.address" . }}
{{- end }}
{{- end }}

{{/* What cannot work is refused, with what to set. */}}
{{- define "wallet-exporter.validate" -}}
{{- $secret := .Values.credentials -}}
{{- if .Values.demo -}}
  {{- if .Values.webhook.enabled -}}{{ fail "webhook.enabled: the demo has no webhook; set demo or webhook.enabled to false" }}{{- end -}}
{{- else if include "wallet-exporter.accounts" . -}}
  {{- if and .Values.accounts.content .Values.accounts.existingConfigMap -}}
    {{ fail "accounts: set content or existingConfigMap, not both" }}
  {{- end -}}
  {{- if not (or $secret.existingSecret $secret.accounts) -}}
    {{ fail "the accounts need their secrets: set credentials.existingSecret or credentials.accounts" }}
  {{- end -}}
  {{- if or .Values.webhook.acceptOldSecret .Values.rightfoot.batchIds -}}
    {{ fail "webhook.acceptOldSecret and rightfoot.batchIds: with an accounts file, these are fields of its accounts" }}
  {{- end -}}
  {{- range $name, $_ := .Values.config -}}
    {{- if and (regexMatch "^(BATCHDATA|RIGHTFOOT)_" $name) (not (hasSuffix "_BASE_URL" $name)) -}}
      {{ fail (printf "config.%s: with an accounts file, this is a field of its accounts" $name) }}
    {{- end -}}
  {{- end -}}
{{- else -}}
  {{- if not (or .Values.batchdata.enabled .Values.rightfoot.enabled) -}}
    {{ fail "no vendor is on: set batchdata.enabled, rightfoot.enabled or accounts, or demo to see it with simulated vendors" }}
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
{{- if include "wallet-exporter.sharded" . -}}
  {{- if not (include "wallet-exporter.accounts" .) -}}{{ fail "shards: more than one needs an accounts file to divide" }}{{- end -}}
  {{- if semverCompare "<1.28-0" .Capabilities.KubeVersion.Version -}}{{ fail "shards: more than one needs Kubernetes 1.28" }}{{- end -}}
  {{- if .Values.webhook.enabled -}}
    {{ fail "webhook.enabled: Rightfoot's calls reach one of the shards only; install accounts with a webhook as a release with one" }}
  {{- end -}}
  {{- if .Values.persistence.existingClaim -}}{{ fail "persistence.existingClaim: each shard has a claim of its own" }}{{- end -}}
  {{- if ne .Values.service.type "ClusterIP" -}}{{ fail "service.type: the Service of shards is headless, of type ClusterIP" }}{{- end -}}
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
