#!/bin/sh
# The Slurm job of docs/how_to/mpi.md on one Linux machine: a controller, and two nodes that are both this host.
#
#     sudo -E sh benchmarks/scale/slurm.sh          needs Debian's slurm-wlm and munge, munged running, and autoenc on the PATH
#
# It runs the page's script on 2 nodes, with the bundled ratings and a temporary folder as the shared one.
set -e
folder=$(mktemp -d)
export SLURM_CONF="$folder/slurm.conf"
trap 'kill $daemons; wait; rm -rf "$folder"' EXIT
cat > "$SLURM_CONF" <<CONF
ClusterName=one
SlurmctldHost=$(hostname)
SlurmUser=root
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
StateSaveLocation=$folder
SlurmdSpoolDir=$folder/%n
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/%n.pid
SlurmdParameters=config_overrides
NodeName=n[1-2] NodeHostName=$(hostname) NodeAddr=127.0.0.1 Port=[17001-17002]
PartitionName=all Nodes=ALL Default=YES
CONF
echo CgroupPlugin=cgroup/v1 > "$folder/cgroup.conf"
slurmctld -D -L "$folder/slurmctld.log" 2>/dev/null & daemons=$!
for node in n1 n2; do
    mkdir "$folder/$node"
    slurmd -D -N $node -L "$folder/$node.log" 2>/dev/null & daemons="$daemons $!"
done
sed -n '/^#!\/bin\/bash/,/^```/{/^```/!p}' "$(dirname "$0")/../../docs/how_to/mpi.md" |
    sed "s/--nodes=4/--nodes=2/; s/ --data ratings.csv//; s,/shared,$folder,; s,model.safetensors,$folder/&," > "$folder/job"
cat "$folder/job"
for again in 1 2; do  # the second job resumes from the checkpoint of the first, which is complete
    sbatch --wait --output="$folder/out" "$folder/job"
    cat "$folder/out"
done
