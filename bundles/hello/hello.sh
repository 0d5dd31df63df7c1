#!/bin/sh
# Shows from the inside what berth has set up around this process. Runs as the container's first process.
say() { printf '%-14s %s\n' "$1" "$2"; }
status() { sed -n "s/^$1:[[:space:]]*//p" /proc/self/status; }

echo "Hello from a container."
echo
say "pid" "$$, of $(ls -d /proc/[0-9]* | wc -l) processes that can be seen"
say "hostname" "$(hostname)"
say "user" "$(id)"
say "capabilities" "effective $(status CapEff), bounding $(status CapBnd)"
say "privileges" "no_new_privs $(status NoNewPrivs), seccomp $(status Seccomp)"
say "cgroup" "$(tail -n 1 /proc/self/cgroup)"
say "network" "$(ls /sys/class/net | tr '\n' ' ')"
say "open files" "at most $(ulimit -n)"
for path in / /sys /proc/sys; do
	grep -q " $path [^ ]* ro" /proc/self/mounts && say "read-only" "$path"
done
echo
echo "namespaces"
for kind in cgroup ipc mnt net pid time user uts; do
	echo "  $(readlink /proc/self/ns/$kind)"
done
echo
echo "mounts"
while read -r source target type options _; do
	printf '  %-16s %-8s %.58s\n' "$target" "$type" "$options"
done </proc/self/mounts
