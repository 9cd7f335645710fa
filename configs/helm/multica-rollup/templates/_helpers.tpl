{{/* The name of everything in the release: the release's, with the chart's unless it is in there. */}}
{{- define "multica-rollup.fullname" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" (.Release.Name | trunc 25 | trimSuffix "-") .Chart.Name -}}
{{- end -}}
{{- end -}}

{{- define "multica-rollup.labels" -}}
app.kubernetes.io/name: multica-rollup
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "multica-rollup.claim" -}}
{{- .Values.persistence.existingClaim | default (include "multica-rollup.fullname" .) -}}
{{- end -}}

{{/* A pod's metadata and spec. Takes root, args and restartPolicy. */}}
{{- define "multica-rollup.pod" -}}
{{- $root := .root -}}
{{- with $root.Values -}}
metadata:
  labels:
    {{- include "multica-rollup.labels" $root | nindent 4 }}
  {{- with .podAnnotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  {{- include "multica-rollup.podSpec" (dict "root" $root "args" $.args "restartPolicy" $.restartPolicy) | nindent 2 }}
{{- end -}}
{{- end -}}

{{- define "multica-rollup.podSpec" -}}
{{- $root := .root -}}
{{- with $root.Values -}}
restartPolicy: {{ $.restartPolicy }}
automountServiceAccountToken: false
# Variables like MULTICA_ROLLUP_PORT, made up from a service's name, would be
# refused as unknown keys of the configuration.
enableServiceLinks: false
terminationGracePeriodSeconds: 30
securityContext:
  {{- toYaml .podSecurityContext | nindent 2 }}
{{- with .imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- if and .persistence.enabled (has "ReadWriteOnce" .persistence.accessModes) }}
affinity:
  # A ReadWriteOnce volume is on one node at a time: a tick goes to the node
  # where a backfill is at work.
  podAffinity:
    requiredDuringSchedulingIgnoredDuringExecution:
      - topologyKey: kubernetes.io/hostname
        labelSelector:
          matchLabels:
            app.kubernetes.io/name: multica-rollup
            app.kubernetes.io/instance: {{ $root.Release.Name }}
{{- end }}
containers:
  - name: multica-rollup
    image: "{{ .image.repository }}:{{ .image.tag | default $root.Chart.AppVersion }}"
    imagePullPolicy: {{ .image.pullPolicy }}
    args: {{ toJson $.args }}
    env:
      {{- if .database.dsnKey }}
      - name: MULTICA_ROLLUP_DSN_FILE
        value: /run/secrets/multica-rollup/dsn
      {{- else }}
      - name: PGHOST
        value: {{ .database.host | default (printf "%s-postgres" .multica.release) | quote }}
      - name: PGPORT
        value: {{ .database.port | quote }}
      {{- $configMap := .database.configMap | default (printf "%s-config" .multica.release) }}
      - name: PGDATABASE
        valueFrom:
          configMapKeyRef:
            name: {{ $configMap | quote }}
            key: POSTGRES_DB
      - name: PGUSER
        valueFrom:
          configMapKeyRef:
            name: {{ $configMap | quote }}
            key: POSTGRES_USER
      - name: PGPASSWORD
        valueFrom:
          secretKeyRef:
            name: {{ .database.existingSecret | quote }}
            key: {{ .database.passwordKey | quote }}
      {{- end }}
      - name: MULTICA_ROLLUP_LOG_FORMAT
        value: json
      - name: MULTICA_ROLLUP_STATE_DIR
        value: /var/lib/multica-rollup
      {{- with .env }}
      {{- toYaml . | nindent 6 }}
      {{- end }}
    resources:
      {{- toYaml .resources | nindent 6 }}
    securityContext:
      {{- toYaml .securityContext | nindent 6 }}
    {{- if or .persistence.enabled .database.dsnKey }}
    volumeMounts:
      {{- if .persistence.enabled }}
      - name: state
        mountPath: /var/lib/multica-rollup
      {{- end }}
      {{- if .database.dsnKey }}
      - name: dsn
        mountPath: /run/secrets/multica-rollup
        readOnly: true
      {{- end }}
    {{- end }}
{{- if or .persistence.enabled .database.dsnKey }}
volumes:
  {{- if .persistence.enabled }}
  - name: state
    persistentVolumeClaim:
      claimName: {{ include "multica-rollup.claim" $root }}
  {{- end }}
  {{- if .database.dsnKey }}
  - name: dsn
    secret:
      secretName: {{ .database.existingSecret | quote }}
      defaultMode: 0440
      items:
        - key: {{ .database.dsnKey | quote }}
          path: dsn
  {{- end }}
{{- end }}
{{- end -}}
{{- end -}}
