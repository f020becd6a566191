#!/bin/sh
# The rotation of one account as people write it in a pipeline: the vault (here bao) command, curl, jq.
set -eu
name=$(cat "$APISEC_ACCOUNTS_FILE")

record=$(bao kv get -format=json -mount="$APISEC_MOUNT" "$name/password" | jq .data.data)
version=$(bao kv get -format=json -mount="$APISEC_MOUNT" "$name/token" | jq .data.metadata.version)
set -- $(printf %s "$record" | jq -r '.username, .host')
username=$1 host=$2

token=$(
  printf %s "$record" | jq '{username, password}' |
    curl -sS --fail -H 'content-type: application/json' --data @- "$host/login" | jq -r .token
)
printf 'header = "Authorization: Bearer %s"\n' "$token" |
  curl -sS --fail --config - "$host/api/v1/projects?page=0&pageSize=1" |
  jq -e '.errors == false' >/dev/null

printf %s "$token" |
  jq -R --arg username "$username" --arg host "$host" '
  (split(".")[1] | gsub("-"; "+") | gsub("_"; "/") | @base64d | fromjson) as $claims | {
    token: .,
    expires_at: ($claims.exp | todate),
    issued_at: ($claims.iat | todate),
    username: $username,
    host: $host,
    source: "bench"
  }' |
  bao kv put -mount="$APISEC_MOUNT" -cas="$version" "$name/token" - >/dev/null
echo "$name  rotated"
