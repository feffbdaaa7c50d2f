//! Whether this process runs in a container with a host name of the container's own.

use std::fs;
use std::path::Path;

use super::Lookup;

/// The inode of the host's UTS namespace, the one that holds its name (`PROC_UTS_INIT_INO`, linux/proc_ns.h).
const HOST_UTS_NAMESPACE: &str = "uts:[4026531838]";
/// Files that Docker and Podman put into every container.
const MARKS: [&str; 2] = ["/.dockerenv", "/run/.containerenv"];
/// Variables that Kubernetes and Amazon ECS set in every container.
const VARIABLES: [&str; 2] = ["KUBERNETES_SERVICE_HOST", "ECS_CONTAINER_METADATA_URI_V4"];
/// Parts of the control groups' names of containers.
const GROUPS: [&str; 6] = ["docker", "containerd", "kubepods", "libpod", "crio", "/ecs/"];

/// What tells a container from a host. Other systems than Linux have none of it.
#[derive(Debug, Default)]
pub(super) struct Signs {
    /// The UTS namespace of this process, as its link reads.
    uts_namespace: String,
    /// The control groups of the first process.
    control_groups: String,
    /// The file systems that are mounted.
    mounts: String,
    /// One of [`MARKS`] is there, or one of [`VARIABLES`] is set.
    is_marked: bool,
}

impl Signs {
    /// Looks around.
    pub(super) fn read(environment: Lookup<'_>) -> Signs {
        let link = fs::read_link("/proc/self/ns/uts").unwrap_or_default();
        let has_mark = MARKS.iter().any(|mark| Path::new(mark).exists());
        Signs {
            uts_namespace: link.to_string_lossy().into_owned(),
            control_groups: fs::read_to_string("/proc/1/cgroup").unwrap_or_default(),
            mounts: fs::read_to_string("/proc/self/mounts").unwrap_or_default(),
            is_marked: has_mark || VARIABLES.iter().any(|variable| environment(variable).is_some()),
        }
    }

    /// True where the system's host name is the container's: another one with each container. A UTS namespace of its own
    /// is not enough, since service managers give one to plain services too.
    pub(super) fn names_a_container(&self) -> bool {
        self.uts_namespace != HOST_UTS_NAMESPACE && self.is_container()
    }

    fn is_container(&self) -> bool {
        // Layered root file systems are what images are made of.
        let is_layered = || {
            let mut roots = self.mounts.lines().filter(|line| line.split(' ').nth(1) == Some("/"));
            roots.any(|line| line.split(' ').nth(2) == Some("overlay"))
        };
        self.is_marked || GROUPS.iter().any(|group| self.control_groups.contains(group)) || is_layered()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_with_a_name_of_its_own_is_told_from_a_host() {
        let own = "uts:[4026532577]";
        let overlay = "overlay / overlay rw,lowerdir=/a:/b 0 0\nproc /proc proc rw 0 0\n";
        let disk = "/dev/sda1 / ext4 rw 0 0\noverlay /var/lib/docker/overlay2/x/merged overlay rw 0 0\n";
        for (what, uts_namespace, control_groups, mounts, is_marked, expected) in [
            ("a host", HOST_UTS_NAMESPACE, "0::/init.scope\n", disk, false, false),
            ("a host with a layered root", HOST_UTS_NAMESPACE, "0::/", overlay, false, false),
            ("a service with ProtectHostname", own, "0::/init.scope\n", disk, false, false),
            ("another system", "", "", "", false, false),
            ("Docker", own, "0::/\n", overlay, true, true),
            ("Docker with --uts host", HOST_UTS_NAMESPACE, "0::/\n", overlay, true, false),
            ("an older Docker", own, "12:cpu:/docker/3dc2a4\n", disk, false, true),
            ("Kubernetes with hostNetwork", HOST_UTS_NAMESPACE, "0::/kubepods/burstable/pod1\n", overlay, true, false),
            ("Kubernetes", own, "0::/kubepods.slice/kubepods-pod1.slice\n", disk, false, true),
            ("containerd alone", own, "0::/\n", overlay, false, true),
            ("a sandbox that hides its namespaces", "", "0::/\n", "none / 9p rw 0 0\n", true, true),
        ] {
            let signs = Signs {
                uts_namespace: uts_namespace.to_owned(),
                control_groups: control_groups.to_owned(),
                mounts: mounts.to_owned(),
                is_marked,
            };
            assert_eq!(signs.names_a_container(), expected, "{what}");
        }
    }

    #[test]
    fn what_orchestrators_set_is_seen() {
        assert!(Signs::read(&|name| (name == "KUBERNETES_SERVICE_HOST").then(String::new)).is_marked);
    }
}
