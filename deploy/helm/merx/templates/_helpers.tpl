{{- define "merx.name" -}}{{ .Release.Name | trunc 50 | trimSuffix "-" }}-merx{{- end }}
{{- define "merx.labels" -}}
app.kubernetes.io/name: merx
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}
{{- define "merx.labelsOf" -}}
app.kubernetes.io/name: merx{{ if ne .role "serve" }}-{{ .role }}{{ end }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
{{- end }}
{{/* A deployment of one role: root, role, name, replicas (none: something else scales it), args, answersOnly, resources. */}}
{{- define "merx.deployment" -}}
{{- $root := .root -}}
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ .name }}
  labels: {{- include "merx.labelsOf" . | nindent 4 }}
spec:
  {{- if hasKey . "replicas" }}
  replicas: {{ .replicas }}
  {{- end }}
  # A new process is ready, its models loaded, before an old one goes.
  strategy: { type: RollingUpdate, rollingUpdate: { maxUnavailable: 0, maxSurge: 1 } }
  selector:
    matchLabels: {{- include "merx.labelsOf" . | nindent 6 }}
  template:
    metadata:
      labels: {{- include "merx.labelsOf" . | nindent 8 }}
      annotations:
        checksum/config: {{ include (print $root.Template.BasePath "/configmap.yaml") $root | sha256sum }}
        prometheus.io/scrape: "true"
        prometheus.io/port: "8080"
    spec:
      automountServiceAccountToken: false
      terminationGracePeriodSeconds: 60
      securityContext: { runAsNonRoot: true, runAsUser: 10001, fsGroup: 10001, seccompProfile: { type: RuntimeDefault } }
      containers:
        - name: merx
          image: "{{ $root.Values.image.repository }}:{{ $root.Values.image.tag }}"
          imagePullPolicy: {{ $root.Values.image.pullPolicy }}
          args: {{ concat (list "--config" "/etc/merx/merx.toml" "--data" "/var/lib/merx") .args | toJson }}
          env:
            - name: POD_IP
              valueFrom: { fieldRef: { fieldPath: status.podIP } }
            - { name: MERX_SERVER__LISTEN, value: "0.0.0.0:8080" }
            - { name: MERX_SERVER__ADVERTISE, value: "http://$(POD_IP):8080" }
            {{- if .answersOnly }}
            - { name: MERX_JOBS__HERE, value: "false" }
            {{- end }}
          envFrom:
            - secretRef: { name: {{ $root.Values.existingSecret | quote }} }
          ports: [{ name: http, containerPort: 8080 }]
          startupProbe: { httpGet: { path: /health/live, port: http }, periodSeconds: 2, failureThreshold: 150 }
          readinessProbe: { httpGet: { path: /health/ready, port: http }, periodSeconds: 2 }
          livenessProbe: { httpGet: { path: /health/live, port: http }, periodSeconds: 10 }
          securityContext:
            allowPrivilegeEscalation: false
            readOnlyRootFilesystem: true
            capabilities: { drop: ["ALL"] }
          resources: {{- toYaml .resources | nindent 12 }}
          volumeMounts:
            - { name: config, mountPath: /etc/merx, readOnly: true }
            - { name: data, mountPath: /var/lib/merx }
            - { name: tmp, mountPath: /tmp }
      volumes:
        - name: config
          configMap: { name: {{ include "merx.name" $root }} }
        - name: data
          emptyDir: {}
        - name: tmp
          emptyDir: {}
{{- end }}
