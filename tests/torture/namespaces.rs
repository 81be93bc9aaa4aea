//! A node in a network namespace of its own (network_namespaces(7)), with one link to each of those it deals
//! with. A link that is cut loses every packet, and no end is told: TCP sends again and again, as it does
//! when a switch dies.

use std::fs::File;
use std::net::Ipv4Addr;
use std::os::fd::AsFd as _;
use std::process::Command;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::size::skipped;

/// Goes with the test, and its links with it.
pub struct Namespace {
    name: String,
}

/// A pair of devices: one with the test, one in the namespace.
pub struct Link {
    /// The addresses of its ends.
    pub outside: String,
    pub inside: String,
    namespace: String,
    device: String,
}

impl Namespace {
    /// `None`, and a word on why, where this machine does not allow it.
    pub fn new() -> Option<Self> {
        let namespace = Self { name: format!("hongyan-{:08x}", rand::random::<u32>()) };
        let made = run("ip", &["netns", "add", &namespace.name])
            .and_then(|()| run("ip", &["-n", &namespace.name, "link", "set", "lo", "up"]))
            .and_then(|()| run("ip", &["netns", "exec", &namespace.name, "iptables", "-w", "-L", "-n"]));
        match made {
            Ok(()) => Some(namespace),
            Err(why) => {
                skipped(&format!(
                    "network namespaces need root, iproute2 and iptables, and a system that allows them: {why}"
                ));
                None
            }
        }
    }

    /// Somewhere in 198.18.0.0/15, which RFC 2544 (appendix C.2.2) sets aside for tests.
    pub fn link(&self) -> Link {
        // Other processes of this machine may have links of their own.
        let n = rand::random_range(0..32_768_u32);
        let end =
            |host: u32| Ipv4Addr::from(u32::from(Ipv4Addr::new(198, 18, 0, 0)) + 4 * n + host).to_string();
        let (outside, inside) = (end(1), end(2));
        let (near, far) = (format!("hongyan{n}"), format!("eth{n}"));
        for arguments in [
            &["link", "add", &near, "type", "veth", "peer", "name", &far, "netns", &self.name][..],
            &["addr", "add", &format!("{outside}/30"), "dev", &near],
            &["link", "set", &near, "up"],
            &["-n", &self.name, "addr", "add", &format!("{inside}/30"), "dev", &far],
            &["-n", &self.name, "link", "set", &far, "up"],
        ] {
            run("ip", arguments).unwrap();
        }
        Link { outside, inside, namespace: self.name.clone(), device: far }
    }

    /// Runs this in the namespace; the processes and sockets that it makes stay there.
    pub fn within<T: Send + 'static>(&self, run: impl FnOnce() -> T + Send + 'static) -> T {
        let namespace = File::open(format!("/run/netns/{}", self.name)).unwrap();
        let thread = std::thread::spawn(move || {
            move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
            run()
        });
        thread.join().unwrap()
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = run("ip", &["netns", "del", &self.name]);
    }
}

impl Link {
    pub fn cut(&self) {
        self.rule("-A");
    }

    pub fn mend(&self) {
        self.rule("-D");
    }

    fn rule(&self, change: &str) {
        for (chain, way) in [("INPUT", "-i"), ("OUTPUT", "-o")] {
            let arguments = [
                "netns",
                "exec",
                &self.namespace,
                "iptables",
                "-w",
                change,
                chain,
                way,
                &self.device,
                "-j",
                "DROP",
            ];
            run("ip", &arguments).unwrap();
        }
    }
}

fn run(program: &str, arguments: &[&str]) -> Result<(), String> {
    let done =
        Command::new(program).args(arguments).output().map_err(|error| format!("{program}: {error}"))?;
    let said = String::from_utf8_lossy(&done.stderr);
    if done.status.success() {
        Ok(())
    } else {
        Err(format!("{program} {}: {}", arguments.join(" "), said.trim()))
    }
}
