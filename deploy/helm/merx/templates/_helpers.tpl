{{- define "merx.name" -}}{{ .Release.Name | trunc 50 | trimSuffix "-" }}-merx{{- end }}
{{- define "merx.labels" -}}
app.kubernetes.io/name: merx
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}
