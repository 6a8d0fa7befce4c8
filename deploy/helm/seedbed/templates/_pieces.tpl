{{/* A name of this release's, short enough for what Ray and KubeRay add to it. */}}
{{- define "seedbed.name" -}}
{{ .Release.Name | trunc 30 | trimSuffix "-" }}
{{- end }}

{{- define "seedbed.labels" -}}
{{ include "seedbed.match" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{- define "seedbed.match" -}}
app.kubernetes.io/name: seedbed
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "seedbed.controller" -}}
{{ .Values.images.controller.repository }}:{{ .Values.images.controller.tag }}
{{- end }}

{{- define "seedbed.worker" -}}
{{ .Values.images.worker.repository }}:{{ .Values.images.worker.tag }}
{{- end }}

{{/* One value of the secret as a variable: (list root variable key). */}}
{{- define "seedbed.secret" -}}
- name: {{ index . 1 }}
  valueFrom:
    secretKeyRef:
      name: {{ (index . 0).Values.existingSecret }}
      key: {{ index . 2 }}
{{- end }}

{{- define "seedbed.store" -}}
{{ include "seedbed.secret" (list . "SEEDBED_DATABASE_URL" "database-url") }}
{{- end }}

{{/* What API and dispatcher share. */}}
{{- define "seedbed.service" -}}
{{ include "seedbed.store" . }}
{{- if .Values.redis }}
{{ include "seedbed.secret" (list . "SEEDBED_REDIS_URL" "redis-url") }}
{{- end }}
- name: SEEDBED_STORAGE_URL
  value: {{ .Values.storage.url | default "file:///storage" | quote }}
- {name: SEEDBED_AUTH, value: keys}
- {name: SEEDBED_HOST, value: "0.0.0.0"}
- {name: SEEDBED_LOG_FORMAT, value: json}
{{- end }}

{{/* What every node of Ray's, and its autoscaler, must agree in. */}}
{{- define "seedbed.ray" -}}
- name: RAY_AUTH_MODE
  value: token
{{ include "seedbed.secret" (list . "RAY_AUTH_TOKEN" "ray-token") }}
- name: RAY_USAGE_STATS_ENABLED
  value: "0"
- name: RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO
  value: "0"
{{- end }}

{{- define "seedbed.more" -}}
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "seedbed.pod-security" -}}
runAsNonRoot: true
runAsUser: 1000
runAsGroup: 1000
fsGroup: 1000
fsGroupChangePolicy: OnRootMismatch
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "seedbed.container-security" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{/* Storage in a volume, where it is in no object store. */}}
{{- define "seedbed.storage-mount" -}}
{{- if not .Values.storage.url }}
- {name: storage, mountPath: /storage}
{{- end }}
{{- end }}

{{- define "seedbed.storage-volume" -}}
{{- if not .Values.storage.url }}
- name: storage
  persistentVolumeClaim:
    claimName: {{ .Values.storage.existingClaim | default (printf "%s-storage" (include "seedbed.name" .)) }}
{{- end }}
{{- end }}

{{- define "seedbed.pull" -}}
{{- with .Values.images.pullSecrets }}
imagePullSecrets:
{{ toYaml . | indent 2 }}
{{- end }}
{{- end }}

{{/* The names under which the API answers. */}}
{{- define "seedbed.hosts" -}}
{{- $service := printf "%s-api" (include "seedbed.name" .) -}}
{{- $names := list $service (printf "%s.%s" $service .Release.Namespace) (printf "%s.%s.svc" $service .Release.Namespace) (printf "%s.%s.svc.cluster.local" $service .Release.Namespace) -}}
{{- if .Values.api.ingress.enabled }}{{ $names = append $names .Values.api.ingress.host }}{{ end -}}
{{- with .Values.api.allowedHosts }}{{ $names = append $names . }}{{ end -}}
{{ join "," $names }}
{{- end }}
