#!/bin/sh
# Two hosts on one Linux machine, for the model in model.py: network namespaces connected at a given rate.
#
#     sudo sh benchmarks/scale/two_hosts.sh 1gbit          needs iproute2, and mpiexec and python on the PATH
#
# Prints the results of two ranks for a step with MovieLens 10M's 10,677 items. The rate is limited by a token
# bucket that is too small for a step's bytes to pass in one burst; the latency is the kernel's.
set -e
root=$(cd "$(dirname "$0")/../.." && pwd)
rate=${1:-1gbit}
launcher=$(mktemp)
trap 'ip netns del autoenc1; ip netns del autoenc2; rm -f "$launcher"' EXIT
for host in 1 2; do ip netns add autoenc$host; done
ip link add ae1 netns autoenc1 type veth peer name ae2 netns autoenc2
for host in 1 2; do
    ip -n autoenc$host addr add 10.77.0.$host/24 dev ae$host
    ip -n autoenc$host link set ae$host up
    ip -n autoenc$host link set lo up
    ip netns exec autoenc$host tc qdisc add dev ae$host root tbf rate "$rate" burst 70kb latency 50ms
done
cat > "$launcher" <<'LAUNCHER'
#!/bin/sh
host=$1
shift
[ "$1" = -x ] && shift
exec ip netns exec "autoenc${host##*.}" sh -c "$*"
LAUNCHER
chmod +x "$launcher"
ip netns exec autoenc1 mpiexec -launcher rsh -launcher-exec "$launcher" -hosts 10.77.0.1,10.77.0.2 -iface ae1 \
    -n 2 -ppn 1 env MPIR_CVAR_NOLOCAL=1 MPIR_CVAR_CH4_NETMOD=ofi FI_PROVIDER=tcp OMP_WAIT_POLICY=passive \
    PYTHONPATH="$root" python -m benchmarks.scale.rank_job 10677 12
