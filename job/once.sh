# Runs the rotation job once on this machine, with the caller's Vault token: the accounts, one a line,
# on standard input. The job gets only what it needs of the environment. Names are unset here and no
# values passed on: the arguments of a command can be read by everybody.
# The caller's shell may have exported its options: they would show the token, and change what is read here.
set -euf +xv
unset IFS
for name in $(export -p | while IFS== read -r name _; do echo "${name##* }"; done); do
  case $name in
    PATH | HOME | VAULT_ADDR | VAULT_NAMESPACE | VAULT_CACERT | VAULT_TOKEN) ;;
    VAULT_CLIENT_CERT | VAULT_CLIENT_KEY) ;;
    APISEC_MOUNT | APISEC_PATHS | APISEC_MIN_LIFETIME | APISEC_TOKEN_ENDS | APISEC_REPORT) ;;
    HTTPS_PROXY | NO_PROXY | https_proxy | no_proxy | NODE_EXTRA_CA_CERTS) ;;
    # What a shell keeps to itself, and lets nobody unset.
    BASHOPTS | SHELLOPTS | EUID | OPTIND | PPID | UID | _) ;;
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
