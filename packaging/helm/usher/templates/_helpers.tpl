{{- define "usher.name" -}}
{{- if contains "usher" .Release.Name }}{{ .Release.Name | trunc 50 | trimSuffix "-" }}{{ else }}{{ printf "%s-usher" .Release.Name | trunc 50 | trimSuffix "-" }}{{ end -}}
{{- end }}

{{- define "usher.selector" -}}
app.kubernetes.io/name: usher
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "usher.labels" -}}
{{ include "usher.selector" . }}
app.kubernetes.io/version: {{ .Values.image.tag | default .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{- /* The secrets, as a map: those of existingTokens, those of an earlier install, or new ones. They are made once a rendering. */ -}}
{{- define "usher.tokens" -}}
{{- if not .Values.madeTokens -}}
{{- $names := list "as_token" "hs_token" "puppet_as_token" "puppet_hs_token" "pickle_key" -}}
{{- $kept := (lookup "v1" "Secret" .Release.Namespace (.Values.existingTokens | default (printf "%s-tokens" (include "usher.name" .)))).data | default dict -}}
{{- $tokens := dict -}}
{{- range $name := $names -}}
{{- if hasKey $kept $name -}}
{{- $_ := set $tokens $name (get $kept $name | b64dec) -}}
{{- else -}}
{{- $_ := set $tokens $name (randAlphaNum 48) -}}
{{- end -}}
{{- end -}}
{{- $_ := set .Values "madeTokens" $tokens -}}
{{- end -}}
{{- end }}
