# Runs the rotation job once on this machine, with the caller's Vault token: the accounts, one a line,
# on standard input. The job gets only what it needs of the environment. Names are unset here and no
# values passed on: the arguments of a command can be read by everybody.
set -eu
for name in $(awk 'BEGIN { for (name in ENVIRON) print name }'); do
  case $name in
    PATH | HOME | VAULT_ADDR | VAULT_NAMESPACE | VAULT_CACERT | VAULT_TOKEN) ;;
    VAULT_CLIENT_CERT | VAULT_CLIENT_KEY) ;;
    APISEC_MOUNT | APISEC_PATHS | APISEC_MIN_LIFETIME | APISEC_REPORT) ;;
    HTTPS_PROXY | NO_PROXY | https_proxy | no_proxy | NODE_EXTRA_CA_CERTS) ;;
    *[!A-Za-z0-9_]* | [0-9]*) ;;
    *) unset "$name" ;;
  esac
done
if [ -z "${VAULT_TOKEN:-}" ]; then
  VAULT_TOKEN=$(cat "$HOME/.vault-token")
  export VAULT_TOKEN
fi
export APISEC_ACCOUNTS_FILE=/dev/stdin
# Through cat: standard input may be a socket, and those cannot be opened by name.
cat | node "${0%/*}/../dist/rotate.mjs"
