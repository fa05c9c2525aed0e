{{- define "modelrollout.name" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 53 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" (.Release.Name | trunc 40 | trimSuffix "-") .Chart.Name -}}
{{- end -}}
{{- end -}}

{{- define "modelrollout.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "modelrollout.labels" -}}
{{ include "modelrollout.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "modelrollout.serviceAccount" -}}
{{- .Values.serviceAccount.name | default (include "modelrollout.name" .) -}}
{{- end -}}

{{- define "modelrollout.image" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository (.Values.image.tag | default .Chart.AppVersion) -}}
{{- end -}}
{{- end -}}

{{/* A JSON list: the ports of the metrics sources' addresses, and those of the pods that may stand behind them. */}}
{{- define "modelrollout.metricsPorts" -}}
{{- $ports := list -}}
{{- range .Values.networkPolicy.metricsSources.ports }}{{ $ports = append $ports (int .) }}{{ end -}}
{{- range .Values.metricsSources -}}
{{- $address := urlParse .url -}}
{{- $given := regexFind "[0-9]+$" (regexFind ":[0-9]+$" $address.host) -}}
{{- $ports = append $ports (int ($given | default (ternary "443" "80" (eq $address.scheme "https")))) -}}
{{- end -}}
{{- $ports | uniq | toJson -}}
{{- end -}}

{{/* Where the ConfigMap with the settings that are files is mounted, and what it is called. */}}
{{- define "modelrollout.settingsPath" -}}
/etc/modelrollout-settings
{{- end -}}

{{- define "modelrollout.settingsFiles" -}}
{{- include "modelrollout.name" . }}-settings
{{- end -}}

{{/* What the operator reads and writes in a namespace that it watches. */}}
{{- define "modelrollout.rules" -}}
- apiGroups: [modelrollout.dev]
  resources: [modelrollouts]
  verbs: [get, list, watch]
- apiGroups: [modelrollout.dev]
  resources: [modelrollouts/status]
  verbs: [patch]
# Of a record nothing can be taken out, and none can be deleted.
- apiGroups: [modelrollout.dev]
  resources: [modelrolloutrecords]
  verbs: [get, list, watch, create]
- apiGroups: [modelrollout.dev]
  resources: [modelrolloutrecords/status]
  verbs: [patch]
- apiGroups: [gateway.networking.k8s.io]
  resources: [httproutes, grpcroutes]
  verbs: [get, list, watch, create, patch]
- apiGroups: [gateway.networking.k8s.io]
  resources: [gateways]
  verbs: [get, list, watch]
- apiGroups: [traefik.io]
  resources: [traefikservices]
  verbs: [get, list, watch, create, patch]
- apiGroups: [""]
  resources: [services]
  verbs: [get, list, watch]
- apiGroups: [discovery.k8s.io]
  resources: [endpointslices]
  verbs: [get, list, watch]
- apiGroups: [apps]
  resources: [deployments, statefulsets]
  verbs: [get]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create]
{{- end -}}

{{/* GatewayClasses have no namespace, nor has what binds names to commands; the Gateway of a route often stands in one that is not watched. */}}
{{- define "modelrollout.clusterRules" -}}
- apiGroups: [gateway.networking.k8s.io]
  resources: [gatewayclasses]
  verbs: [get, list, watch]
{{- if include "modelrollout.validates" . }}
- apiGroups: [admissionregistration.k8s.io]
  resources: [validatingadmissionpolicies, validatingadmissionpolicybindings]
  resourceNames: [{{ include "modelrollout.policy" . }}]
  verbs: [get]
{{- end }}
{{- if .Values.namespaces }}
- apiGroups: [gateway.networking.k8s.io]
  resources: [gateways]
  verbs: [get]
{{- end }}
{{- end -}}

{{/* The Lease by which several replicas agree who works: by its name, except that `create` cannot be bound to one. */}}
{{- define "modelrollout.leaseRules" -}}
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  verbs: [create]
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  resourceNames: [{{ include "modelrollout.name" . }}]
  verbs: [get, patch]
{{- end -}}

{{/* The one ConfigMap whose existence keeps all weights from growing. */}}
{{- define "modelrollout.freezeRules" -}}
- apiGroups: [""]
  resources: [configmaps]
  resourceNames: [{{ .Values.freeze.configMap }}]
  verbs: [get]
{{- end -}}

{{/* Several replicas on different nodes, as far as there are any; what `affinity` says of pods goes first. */}}
{{- define "modelrollout.affinity" -}}
{{- $affinity := deepCopy .Values.affinity -}}
{{- if and (gt (int .Values.replicas) 1) (not (hasKey $affinity "podAntiAffinity")) -}}
{{- $term := dict "topologyKey" "kubernetes.io/hostname" "labelSelector" (dict "matchLabels" (include "modelrollout.selector" . | fromYaml)) -}}
{{- $preferred := list (dict "weight" 100 "podAffinityTerm" $term) -}}
{{- $_ := set $affinity "podAntiAffinity" (dict "preferredDuringSchedulingIgnoredDuringExecution" $preferred) -}}
{{- end -}}
{{- if $affinity }}{{ toYaml $affinity }}{{ end -}}
{{- end -}}

{{/* Whether the cluster has admission policies that refuse, or that change, and the values want them; else empty. */}}
{{- define "modelrollout.validates" -}}
{{- $wanted := toString .Values.admission.validating -}}
{{- $can := or (semverCompare ">=1.30-0" .Capabilities.KubeVersion.Version) (.Capabilities.APIVersions.Has "admissionregistration.k8s.io/v1/ValidatingAdmissionPolicy") -}}
{{- if or (eq $wanted "true") (and (eq $wanted "auto") $can) }}yes{{ end -}}
{{- end -}}

{{- define "modelrollout.mutates" -}}
{{- $wanted := toString .Values.admission.mutating -}}
{{- $can := or (semverCompare ">=1.36-0" .Capabilities.KubeVersion.Version) (.Capabilities.APIVersions.Has "admissionregistration.k8s.io/v1/MutatingAdmissionPolicy") -}}
{{- if or (eq $wanted "true") (and (eq $wanted "auto") $can) }}yes{{ end -}}
{{- end -}}

{{- define "modelrollout.policy" -}}
{{- include "modelrollout.name" . }}-commands
{{- end -}}

{{/* The operator as the API server knows it. */}}
{{- define "modelrollout.user" -}}
{{- printf "system:serviceaccount:%s:%s" .Release.Namespace (include "modelrollout.serviceAccount" .) -}}
{{- end -}}

{{/* Names of CronJobs have at most 52 characters. */}}
{{- define "modelrollout.retention" -}}
{{- printf "%s-retention" (include "modelrollout.name" . | trunc 42 | trimSuffix "-") -}}
{{- end -}}

{{/* Not the operator's selector: neither its Deployment, its budget nor its Service shall take a job's pod for its own. */}}
{{- define "modelrollout.retentionSelector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}-retention
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "modelrollout.retentionLabels" -}}
{{ include "modelrollout.retentionSelector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "modelrollout.retentionUser" -}}
{{- printf "system:serviceaccount:%s:%s" .Release.Namespace (include "modelrollout.retention" .) -}}
{{- end -}}

{{/* Where policies hold: in the namespaces that are watched. */}}
{{- define "modelrollout.watched" -}}
{{- with .Values.namespaces -}}
matchResources:
  namespaceSelector:
    matchExpressions:
      - {key: kubernetes.io/metadata.name, operator: In, values: {{ toJson . }}}
{{- end -}}
{{- end -}}

{{/* kubectl get, describe, wait; also of records. */}}
{{- define "modelrollout.viewRules" -}}
- apiGroups: [modelrollout.dev]
  resources: [modelrollouts, modelrolloutrecords]
  verbs: [get, list, watch]
{{- end -}}

{{/* kubectl patch and edit with --subresource=status. */}}
{{- define "modelrollout.commandRules" -}}
- apiGroups: [modelrollout.dev]
  resources: [modelrollouts/status]
  verbs: [get, patch]
{{- end -}}

{{/* The settings that are given, as the operator reads them; it has its own defaults for the rest. */}}
{{- define "modelrollout.environment" -}}
{{- $settings := .Values.settings -}}
- name: MODELROLLOUT_NAMESPACES
  value: {{ .Values.namespaces | toJson | quote }}
{{- if .Values.metricsSources }}
- name: MODELROLLOUT_METRICS_SOURCES_FILE
  value: {{ include "modelrollout.settingsPath" . }}/metrics-sources.json
{{- end }}
- name: MODELROLLOUT_WEBHOOKS
  value: {{ .Values.webhooks | toJson | quote }}
{{- with .Values.notifications }}
- name: MODELROLLOUT_NOTIFICATIONS
  value: {{ toJson . | quote }}
{{- end }}
{{- with .Values.clusterName }}
- name: MODELROLLOUT_CLUSTER_NAME
  value: {{ . | quote }}
{{- end }}
- name: MODELROLLOUT_GATEWAY_MIRROR
  value: {{ $settings.gatewayMirror | toJson | quote }}
- name: MODELROLLOUT_RAW_QUERIES
  value: {{ $settings.rawQueries | quote }}
- name: MODELROLLOUT_REQUIRE_GATE_CLASSES
  value: {{ $settings.requireGateClasses | quote }}
- name: MODELROLLOUT_LOG_FORMAT
  value: {{ $settings.logFormat | quote }}
- name: MODELROLLOUT_LOG_LEVEL
  value: {{ $settings.logLevel | quote }}
{{- with .Values.freeze.reason }}
- name: MODELROLLOUT_FREEZE
  value: {{ . | quote }}
{{- end }}
{{- with .Values.freeze.configMap }}
- name: MODELROLLOUT_FREEZE_CONFIG_MAP
  value: {{ printf "%s/%s" $.Release.Namespace . | quote }}
{{- end }}
{{- with $settings.minInterval }}
- name: MODELROLLOUT_MIN_INTERVAL
  value: {{ . | quote }}
{{- end }}
{{- with $settings.statusRefresh }}
- name: MODELROLLOUT_STATUS_REFRESH
  value: {{ . | quote }}
{{- end }}
{{- with $settings.workers }}
- name: MODELROLLOUT_WORKERS
  value: {{ int . | quote }}
{{- end }}
{{- if include "modelrollout.validates" . }}
- name: MODELROLLOUT_ADMISSION_POLICY
  value: {{ include "modelrollout.policy" . }}
{{- end }}
{{- if gt (int .Values.replicas) 1 }}
- name: MODELROLLOUT_LEADER_ELECTION
  value: "true"
- name: MODELROLLOUT_LEASE_NAME
  value: {{ include "modelrollout.name" . }}
- name: MODELROLLOUT_LEASE_NAMESPACE
  value: {{ .Release.Namespace }}
{{- with $settings.leaseDuration }}
- name: MODELROLLOUT_LEASE_DURATION
  value: {{ . | quote }}
{{- end }}
{{- end }}
{{- end -}}
