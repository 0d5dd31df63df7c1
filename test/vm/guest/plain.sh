# Process 1 of the guest without an init system.
. /run/berth-vm/share/prepare
mount -t cgroup2 cgroup2 /sys/fs/cgroup
for controller in $(cat /sys/fs/cgroup/cgroup.controllers); do
  echo "+$controller" > /sys/fs/cgroup/cgroup.subtree_control
done
sh $share/tests
poweroff -f
