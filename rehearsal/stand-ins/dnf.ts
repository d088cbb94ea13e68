/**
 * Stand-in for Amazon Linux's `dnf`. "Installing" a package links this machine's own Docker engine or Node.js into
 * /usr/bin. Fails on every argument and package that our user data does not use.
 */
export const DNF = `#!/bin/bash
[ "$1 $2" = "install -y" ] && [ $# -gt 2 ] || { echo "dnf stand-in: knows only \\"dnf install -y PACKAGE...\\", was called with: $*" >&2; exit 64; }
shift 2
for package; do
  case "$package" in
    docker) program=dockerd ;;
    nodejs22) program=node-22 ;;
    *) echo "dnf stand-in: knows only the packages docker and nodejs22, was asked for: $package" >&2; exit 64 ;;
  esac
  ln -sf "/usr/lib/stand-ins/$program" "/usr/bin/$program"
  echo "Installed: $package (this machine's own $program)"
done
`;
