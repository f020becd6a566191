# What must be there before anything else can be installed.
set -eu
missing=""
for tool in node npm git; do
  command -v "$tool" >/dev/null 2>&1 || missing="$missing $tool"
done
if [ -n "$missing" ]; then
  echo "Missing:$missing. Install Node.js 20.19 or newer (it brings npm) and git, then run this again." >&2
  exit 1
fi
node -e '
const [major, minor] = process.versions.node.split(".").map(Number);
if (major > 20 || (major === 20 && minor >= 19)) process.exit(0);
console.error(`Node.js ${process.versions.node} is too old: 20.19 or newer is needed.`);
process.exit(1);'
