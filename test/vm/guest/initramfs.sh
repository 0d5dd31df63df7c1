#!/bin/busybox sh
# The first process of the guest. Its root becomes the host's, read only, under a layer in memory.
export PATH=/bin
bb=/bin/busybox

give_up() {
  echo "berth-vm: cannot $1"
  $bb poweroff -f
}

$bb mount -t proc proc /proc
$bb mount -t sysfs sysfs /sys
$bb mount -t devtmpfs dev /dev
for module in /modules/*; do
  $bb insmod "$module" || give_up "load $module"
done
nine=trans=virtio,version=9p2000.L,msize=1048576
$bb mount -t 9p -o $nine,cache=loose,ro host /host || give_up "mount the host's files"
$bb mount -t tmpfs -o size=80% memory /memory
$bb mkdir /memory/upper /memory/work
$bb mount -t overlay -o lowerdir=/host,upperdir=/memory/upper,workdir=/memory/work overlay /root ||
  give_up "mount the overlay"

# Not the host's: what is mounted there shows through 9p as files of this host.
for directory in proc sys dev; do
  $bb mkdir -p /root/$directory
  $bb mount --move /$directory /root/$directory
done
$bb mkdir -p /root/run
$bb mount -t tmpfs -o mode=755 run /root/run
$bb mkdir -p /root/run/berth-vm/bin /root/run/berth-vm/share
$bb cp $bb /root/run/berth-vm/bin/busybox
$bb mount -t 9p -o $nine share /root/run/berth-vm/share || give_up "mount the share"
exec $bb switch_root /root /run/berth-vm/bin/busybox sh /run/berth-vm/share/init
