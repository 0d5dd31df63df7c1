# What every guest needs, before its tests or its init system. Sourced by process 1.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8
share=/run/berth-vm/share
bin=/run/berth-vm/bin
ln -s busybox $bin/modprobe
echo $bin/modprobe > /proc/sys/kernel/modprobe
mkdir -p /lib/modules
ln -s "$project/dist/vm/modules" "/lib/modules/$(uname -r)"
# An init system would make the nodes of these, and their first use load them.
$bin/modprobe -a fuse loop tun
mkdir -p /dev/pts /dev/shm /dev/mqueue
mount -t devpts -o gid=5,mode=620,ptmxmode=666 devpts /dev/pts
mount -t tmpfs -o mode=1777 shm /dev/shm
mount -t mqueue mqueue /dev/mqueue
$bin/busybox ifconfig lo 127.0.0.1 up
hostname berth-vm
# Each test copies it, which by 9p takes longer than all that berth does in the test.
rootfs=$project/bundles/hello/rootfs
cp -a "$rootfs" /run/berth-vm/rootfs
mount --bind /run/berth-vm/rootfs "$rootfs"
