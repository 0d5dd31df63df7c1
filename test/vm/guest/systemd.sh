# Process 1 of the guest that becomes systemd, with as little to start as its tests need: the system bus.
. /run/berth-vm/share/prepare
units=/run/systemd/system
mkdir -p $units /run/dbus

# The default dependencies of a unit are a whole boot: devices, file systems, a journal.
cat > $units/berth-vm.target <<UNIT
[Unit]
Description=The tests of berth
DefaultDependencies=no
Wants=berth-vm.service dbus.socket
UNIT
cat > $units/berth-vm.service <<UNIT
[Unit]
DefaultDependencies=no
After=dbus.socket
[Service]
Type=oneshot
Delegate=yes
StandardOutput=null
StandardError=null
Environment=HOME=$HOME LANG=$LANG
ExecStart=$bin/busybox sh $share/tests
ExecStopPost=$bin/busybox poweroff -f
UNIT
for unit in dbus.socket dbus.service; do
  mkdir -p $units/$unit.d
  printf '[Unit]\nDefaultDependencies=no\n' > $units/$unit.d/berth-vm.conf
done
for unit in systemd-journald.socket systemd-journald-dev-log.socket systemd-journald.service systemd-udevd.service; do
  ln -s /dev/null $units/$unit
done
# The bus wants one, and would wait for another unit to make it.
echo 0123456789abcdef0123456789abcdef > /etc/machine-id
exec /lib/systemd/systemd --system --unit=berth-vm.target --show-status=no --log-target=console --log-level=warning --crash-reboot
