//! compose.yaml and deploy/kubernetes name what there is, and fit each other, the binary, nginx and NATS.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use hongyan::config::{Config, DatabaseUrl, Inputs, Listen, Pages, Profile, load};
use serde_json::Value;

use crate::{root, text};

/// What a drain may take (docs/OPERATIONS.md).
const DRAIN_S: u64 = 10;

/// What `deploy/make-secrets` makes, in a folder.
pub fn make_secrets(folder: &Path) {
    let mut script = Command::new(root().join("deploy/make-secrets"));
    script.arg("wx0123456789abcdef").arg(folder).stdin(Stdio::piped()).stdout(Stdio::null());
    let mut script = script.spawn().unwrap();
    script.stdin.take().unwrap().write_all(b"app-s3cret\n").unwrap();
    assert!(script.wait().unwrap().success());
}

fn compose() -> Value {
    serde_saphyr::from_str(&text("compose.yaml")).unwrap()
}

/// The members of an object, by name.
fn members(value: &Value) -> impl Iterator<Item = (&str, &Value)> {
    value.as_object().into_iter().flatten().map(|(name, value)| (name.as_str(), value))
}

/// The texts of a list.
fn texts(value: &Value) -> Vec<&str> {
    value.as_array().into_iter().flatten().map(|item| item.as_str().unwrap()).collect()
}

/// The nodes among the services.
fn nodes(compose: &Value) -> BTreeMap<&str, &Value> {
    members(&compose["services"]).filter(|(_, service)| service["image"] == "hongyan").collect()
}

/// `20s` or `1m`.
fn seconds(text: &Value) -> u64 {
    let text = text.as_str().unwrap();
    let (number, unit) = text.split_at(text.len() - 1);
    number.parse::<u64>().unwrap() * if unit == "m" { 60 } else { 1 }
}

/// The settings that `variables` give, where a path below `mounted` is one in `folder`.
fn settings(variables: &Value, mounted: &str, folder: &Path) -> Config {
    let here = |value: &str| {
        value.strip_prefix(mounted).map_or_else(|| value.into(), |name| folder.join(name).into_os_string())
    };
    let environment = members(variables)
        .map(|(name, value)| (OsString::from(name), here(value.as_str().unwrap())))
        .collect();
    load(&Profile::Serve, &Inputs { environment, ..Inputs::default() }).unwrap().config
}

/// What the image says that the files must know.
fn image(instruction: &str) -> String {
    let dockerfile = text("Dockerfile");
    dockerfile.lines().find_map(|line| line.strip_prefix(instruction)?.strip_prefix(' ')).unwrap().to_owned()
}

#[test]
fn a_node_of_compose_can_start_with_its_settings() {
    let compose = compose();
    let made = tempfile::tempdir().unwrap();
    make_secrets(made.path());
    // Named as the container sees them.
    let mounted = tempfile::tempdir().unwrap();
    for (name, secret) in members(&compose["secrets"]) {
        let file = secret["file"].as_str().unwrap().strip_prefix("./secrets/").unwrap();
        fs::copy(made.path().join(file), mounted.path().join(name)).unwrap();
    }

    let nodes = nodes(&compose);
    assert!(nodes.len() >= 2);
    let mut sockets = BTreeSet::new();
    for (name, node) in &nodes {
        let config = settings(&node["environment"], "/run/secrets/", mounted.path());
        let Listen::Unix(socket) = &config.server.listen else { panic!("{name}") };
        assert_eq!(socket.parent().unwrap(), Path::new("/run/hongyan"));
        sockets.insert(socket.display().to_string());
        // Prometheus asks from another container, by the name of the service; nobody asks from outside.
        let ops = config.ops.listen.unwrap();
        assert!(
            ops.ip().is_unspecified() && text("Dockerfile").contains(&format!(" {}\n", ops.port())),
            "{name}"
        );
        let asked = [format!("{name}:{}", ops.port())];
        assert_eq!(
            config.ops.allowed_hosts.judge(asked.iter().map(String::as_str), None, Pages::Own),
            Ok(()),
            "{name}"
        );
        assert!(node["ports"].is_null() && texts(&node["networks"]).contains(&"inside"), "{name}");
        let Some(Listen::Tcp(admin)) = config.admin.port() else { panic!("{name}") };
        assert!(
            admin.ip().is_unspecified()
                && *admin != ops
                && config.admin.keys.iter().all(|key| key.id == "ops"),
            "{name}"
        );
        let prometheus: Value = serde_saphyr::from_str(&text("deploy/prometheus/prometheus.yml")).unwrap();
        let targets = texts(&prometheus["scrape_configs"][0]["static_configs"][0]["targets"]);
        assert!(targets.contains(&format!("{name}:{}", ops.port()).as_str()), "{name}");
        let shared = |service: &str| texts(&compose["services"][service]["networks"]).contains(&"monitoring");
        assert!(
            shared("prometheus")
                && texts(&node["networks"]).contains(&"monitoring")
                && shared("node-exporter"),
            "{name}"
        );
        let DatabaseUrl::Postgres(url) = &config.database.url else { panic!("{name}") };
        let password = fs::read_to_string(mounted.path().join("postgres_password")).unwrap();
        let postgres = &compose["services"]["postgres"]["environment"];
        let (user, database) =
            (postgres["POSTGRES_USER"].as_str().unwrap(), postgres["POSTGRES_DB"].as_str().unwrap());
        assert_eq!(*url, format!("postgres://{user}:{}@postgres/{database}", password.trim()));
    }
    let upstream = text("deploy/nginx/nodes/compose.conf");
    let named: BTreeSet<_> = upstream
        .lines()
        .filter_map(|line| line.trim().strip_prefix("server unix:")?.split(' ').next())
        .map(str::to_owned)
        .collect();
    assert_eq!(named, sockets, "what nginx connects to, and where the nodes listen");

    // The relay's address names the service of NATS, its port and its user.
    let url = fs::read_to_string(made.path().join("nats_url")).unwrap();
    assert!(url.trim().ends_with("@nats:4222") && url.starts_with("nats://hongyan:"), "{url}");
    let nats = text("deploy/nats/nats.conf");
    assert!(
        compose["services"]["nats"].is_object()
            && nats.contains("\nport: 4222\n")
            && nats.contains("user: hongyan\n")
    );

    // A second run keeps what is there.
    make_secrets(made.path());
    assert_eq!(fs::read_to_string(made.path().join("nats_url")).unwrap(), url);
}

#[test]
fn nobody_else_on_the_machine_can_read_the_secrets() {
    use std::os::unix::fs::MetadataExt;
    let folder = tempfile::tempdir().unwrap();
    let secrets = folder.path().join("secrets");
    make_secrets(&secrets);
    assert_eq!(fs::metadata(&secrets).unwrap().mode() & 0o777, 0o700);
    for ignored in [".gitignore", ".dockerignore"] {
        assert!(text(ignored).lines().any(|line| line.trim_matches('/') == "secrets"), "{ignored}");
    }
}

#[test]
fn compose_names_nothing_that_is_not_there() {
    let compose = compose();
    let declared = |kind: &str| members(&compose[kind]).map(|(name, _)| name).collect::<BTreeSet<_>>();
    let made = tempfile::tempdir().unwrap();
    make_secrets(made.path());
    let mut used = BTreeSet::new();
    for (name, service) in members(&compose["services"]) {
        for network in texts(&service["networks"]) {
            assert!(declared("networks").contains(network), "{name}: {network}");
        }
        for (other, _) in members(&service["depends_on"]) {
            assert!(declared("services").contains(other), "{name}: {other}");
        }
        for secret in service["secrets"].as_array().into_iter().flatten() {
            used.insert(secret.as_str().or(secret["source"].as_str()).unwrap());
        }
        for volume in service["volumes"].as_array().into_iter().flatten() {
            let source = volume
                .as_str()
                .map_or_else(|| volume["source"].as_str().unwrap(), |short| short.split(':').next().unwrap());
            let there = match source.strip_prefix("./") {
                // A volume, or a folder of the machine itself.
                None => declared("volumes").contains(source) || source.starts_with('/'),
                Some(path) => path
                    .strip_prefix("secrets/")
                    .map_or(root().join(path), |made_path| made.path().join(made_path))
                    .exists(),
            };
            assert!(there, "{name}: {source}");
        }
        if let Some(context) = service["build"].as_str() {
            assert!(root().join(context).join("Dockerfile").exists(), "{name}");
        }
    }
    assert_eq!(used, declared("secrets"), "used, and declared");
    for (name, secret) in members(&compose["secrets"]) {
        let file = secret["file"].as_str().unwrap().strip_prefix("./secrets/").unwrap();
        assert!(made.path().join(file).exists(), "{name}: make-secrets makes no {file}");
    }
}

#[test]
fn what_watches_is_started_when_asked_for_and_seen_on_this_machine_only() {
    let compose = compose();
    for name in ["prometheus", "grafana", "node-exporter"] {
        let service = &compose["services"][name];
        assert_eq!(texts(&service["profiles"]), ["monitoring"], "{name}");
        assert!(texts(&service["ports"]).iter().all(|port| port.starts_with("127.0.0.1:")), "{name}");
    }
    let prometheus: Value = serde_saphyr::from_str(&text("deploy/prometheus/prometheus.yml")).unwrap();
    assert_eq!(prometheus["scrape_configs"][0]["job_name"], "hongyan", "as the rules call it");
    assert_eq!(prometheus["scrape_configs"][1]["static_configs"][0]["targets"][0], "node-exporter:9100");
    for (_, service) in members(&compose["services"]).filter(|(_, service)| service["profiles"].is_null()) {
        assert!(
            members(&service["depends_on"])
                .all(|(other, _)| compose["services"][other]["profiles"].is_null())
        );
    }
}

#[test]
fn nginx_and_nats_find_in_their_containers_what_their_files_name() {
    let compose = compose();
    let mut seen = BTreeSet::new();
    for (_, service) in members(&compose["services"]) {
        for volume in service["volumes"].as_array().into_iter().flatten() {
            seen.insert(volume.as_str().map_or_else(
                || volume["target"].as_str().unwrap(),
                |short| short.split(':').nth(1).unwrap(),
            ));
        }
        for secret in service["secrets"].as_array().into_iter().flatten() {
            seen.extend(secret["target"].as_str());
        }
    }
    let named = |file: &str, start: &str, from: &str| -> Vec<String> {
        let text = text(file);
        let found = text.lines().filter_map(|line| line.trim().strip_prefix(start));
        let found: Vec<String> = found
            .map(|rest| Path::new(from).join(rest.trim().trim_end_matches(';')).display().to_string())
            .collect();
        assert!(!found.is_empty(), "{file}: no {start}");
        found
    };
    let included = [
        named("deploy/nginx/nginx.conf", "include ", "/etc/nginx"),
        named("deploy/nats/nats.conf", "include ", "/etc/nats"),
    ];
    for path in included.concat() {
        assert!(seen.contains(path.as_str()), "{path}");
    }
    let made = tempfile::tempdir().unwrap();
    make_secrets(made.path());
    for path in named("deploy/nginx/hongyan.conf", "ssl_certificate ", "/").into_iter().chain(named(
        "deploy/nginx/hongyan.conf",
        "ssl_certificate_key ",
        "/",
    )) {
        let (folder, file) = path.rsplit_once('/').unwrap();
        assert!(seen.contains(folder) && made.path().join("tls").join(file).exists(), "{path}");
    }
}

#[test]
fn every_service_of_compose_is_watched_bounded_and_comes_back() {
    let compose = compose();
    for (name, service) in members(&compose["services"]) {
        assert_eq!(service["restart"], "unless-stopped", "{name}");
        assert_eq!(service["read_only"], true, "{name}");
        assert!(
            service["logging"]["options"]["max-size"].is_string()
                && service["logging"]["options"]["max-file"].is_string(),
            "{name}"
        );
        assert!(texts(&service["security_opt"]).contains(&"no-new-privileges:true"), "{name}");
        // The nodes' own is in the image.
        assert!(service["healthcheck"]["test"].is_array() || service["image"] == "hongyan", "{name}");
    }
    image("HEALTHCHECK");
    for (name, node) in nodes(&compose) {
        assert!(seconds(&node["stop_grace_period"]) > DRAIN_S, "{name}");
        assert_eq!(node["ulimits"]["nofile"], 262_144, "{name}: as the systemd unit");
    }
    assert!(text("deploy/systemd/hongyan.service").contains("\nLimitNOFILE=262144\n"));

    let nginx = &compose["services"]["nginx"];
    let main = text("deploy/nginx/nginx.conf");
    let wanted: u64 = main
        .lines()
        .find_map(|line| line.strip_prefix("worker_rlimit_nofile "))
        .unwrap()
        .trim_end_matches(';')
        .parse()
        .unwrap();
    assert!(
        nginx["ulimits"]["nofile"].as_u64().unwrap() >= wanted,
        "a user of a container cannot go beyond the container's limit"
    );
    let site = text("deploy/nginx/hongyan.conf");
    for port in texts(&nginx["ports"]) {
        let (_, inside) = port.split_once(':').unwrap();
        assert!(site.lines().any(|line| line.trim().starts_with(&format!("listen {inside}"))), "{port}");
    }
    // The image's user may bind in the folder of the sockets, and nginx's group may enter it.
    let (user, group) = image("USER").split_once(':').map(|(u, g)| (u.to_owned(), g.to_owned())).unwrap();
    assert_eq!(
        compose["volumes"]["sockets"]["driver_opts"]["o"],
        format!("uid={user},gid={group},mode=0750")
    );
    assert_eq!(nginx["user"].as_str().unwrap().split_once(':').unwrap().1, group);
}

#[test]
fn the_health_checks_of_compose_ask_what_there_is() {
    let compose = compose();
    let test = |service: &str| texts(&compose["services"][service]["healthcheck"]["test"]).join(" ");
    let postgres = &compose["services"]["postgres"]["environment"];
    let (user, database) =
        (postgres["POSTGRES_USER"].as_str().unwrap(), postgres["POSTGRES_DB"].as_str().unwrap());
    assert_eq!(test("postgres"), format!("CMD pg_isready -h 127.0.0.1 -U {user} -d {database}"));
    let monitor = text("deploy/nats/nats.conf")
        .lines()
        .find_map(|line| line.strip_prefix("http: "))
        .unwrap()
        .trim_matches('"')
        .to_owned();
    assert!(test("nats").ends_with(&format!(" http://{monitor}/healthz")));
    // `/healthz` stands on both ports of a node.
    let site = text("deploy/nginx/hongyan.conf");
    let name = site
        .lines()
        .filter_map(|line| line.trim().strip_prefix("server_name ")?.strip_suffix(';'))
        .find(|name| *name != "_")
        .unwrap();
    assert!(
        test("nginx").ends_with(&format!(" --connect-to ::127.0.0.1:443 https://{name}/healthz")),
        "nginx answers to its own name only"
    );
    assert!(texts(&compose["services"]["nats"]["command"]).contains(&"/etc/nats/nats.conf"));
}

/// Every object of deploy/kubernetes, by kind and name.
fn objects() -> BTreeMap<(String, String), Value> {
    let mut objects = BTreeMap::new();
    for entry in fs::read_dir(root().join("deploy/kubernetes")).unwrap() {
        let path: PathBuf = entry.unwrap().path();
        let found: Vec<Value> = serde_saphyr::from_multiple(&fs::read_to_string(&path).unwrap()).unwrap();
        for object in found {
            let name = |value: &Value| value.as_str().unwrap().to_owned();
            let key = (name(&object["kind"]), name(&object["metadata"]["name"]));
            if key.0 != "Namespace" {
                assert_eq!(object["metadata"]["namespace"], "hongyan", "{key:?}");
            }
            assert!(objects.insert(key.clone(), object).is_none(), "{key:?} twice");
        }
    }
    objects
}

fn object<'a>(objects: &'a BTreeMap<(String, String), Value>, kind: &str, name: &str) -> &'a Value {
    objects.get(&(kind.to_owned(), name.to_owned())).unwrap_or_else(|| panic!("no {kind} {name}"))
}

/// The only container of a deployment.
fn container(deployment: &Value) -> &Value {
    let containers = deployment["spec"]["template"]["spec"]["containers"].as_array().unwrap();
    assert_eq!(containers.len(), 1);
    &containers[0]
}

/// The number of a port that may be named.
fn port(container: &Value, port: &Value) -> u64 {
    let ports = container["ports"].as_array().unwrap();
    let named = || {
        ports.iter().find(|p| p["name"] == *port).unwrap_or_else(|| panic!("no port {port}"))["containerPort"]
            .as_u64()
    };
    port.as_u64().or_else(named).unwrap()
}

#[test]
fn a_pod_can_start_with_its_settings() {
    let objects = objects();
    let pod = &object(&objects, "Deployment", "hongyan")["spec"]["template"]["spec"];
    let container = container(object(&objects, "Deployment", "hongyan"));
    let mounted = tempfile::tempdir().unwrap();
    let volume = &pod["volumes"][0];
    let secret = object(&objects, "Secret", volume["secret"]["secretName"].as_str().unwrap());
    for (key, value) in members(&secret["stringData"]) {
        assert!(value.as_str().unwrap().contains("YOUR-"), "{key} is no placeholder");
        // Filled in: as it is, it is refused (tests/packaging/main.rs).
        fs::write(mounted.path().join(key), value.as_str().unwrap().replace("YOUR-", "filled-in-")).unwrap();
    }
    assert_eq!(container["volumeMounts"][0]["name"], volume["name"]);
    let path = format!("{}/", container["volumeMounts"][0]["mountPath"].as_str().unwrap());
    let variables = &object(
        &objects,
        "ConfigMap",
        container["envFrom"][0]["configMapRef"]["name"].as_str().unwrap(),
    )["data"];
    let config = settings(variables, &path, mounted.path());
    assert!(
        matches!(config.database.url, DatabaseUrl::Postgres(_)) && !config.server.trusted_proxies.is_empty()
    );

    let listens = |name: &str| port(container, &Value::from(name));
    assert_eq!(
        config.server.listen,
        Listen::Tcp(([0, 0, 0, 0], u16::try_from(listens("public")).unwrap()).into())
    );
    let ops = config.ops.listen.unwrap();
    assert!(ops.ip().is_unspecified(), "the kubelet asks from outside");
    assert_eq!(u64::from(ops.port()), listens("ops"));
    assert_eq!(pod["enableServiceLinks"], false);

    let annotations =
        &object(&objects, "Deployment", "hongyan")["spec"]["template"]["metadata"]["annotations"];
    assert_eq!(annotations["prometheus.io/port"], ops.port().to_string());
    assert_eq!(container["image"].as_str().unwrap().rsplit(':').next().unwrap(), env!("CARGO_PKG_VERSION"));
    assert_eq!(
        image("USER"),
        format!("{0}:{1}", pod["securityContext"]["runAsUser"], pod["securityContext"]["runAsGroup"])
    );
    assert_eq!(
        pod["securityContext"]["fsGroup"], pod["securityContext"]["runAsGroup"],
        "who may read the secrets"
    );
}

/// A probe asks a running server's operators' port.
#[test]
fn every_path_that_is_probed_answers() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Command::new(env!("CARGO_BIN_EXE_hongyan"));
    server
        .args(["dev", "--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0"])
        .env_clear()
        .current_dir(folder.path());
    let mut server = server.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(server.stdout.take().unwrap()).lines().map(Result::unwrap);
    let at = lines.find_map(|line| line.strip_prefix("hongyan: operators at ").map(str::to_owned)).unwrap();
    assert!(lines.any(|line| line == "hongyan: ready"));

    let objects = objects();
    let deployment = object(&objects, "Deployment", "hongyan");
    let container = container(deployment);
    let mut paths =
        BTreeSet::from([deployment["spec"]["template"]["metadata"]["annotations"]["prometheus.io/path"]
            .as_str()
            .unwrap()]);
    for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
        let asked = &container[probe]["httpGet"];
        assert_eq!(asked["port"], "ops", "{probe}");
        paths.insert(asked["path"].as_str().unwrap());
    }
    assert_eq!(
        container["livenessProbe"]["httpGet"]["path"], "/healthz",
        "a database that is away is no reason to restart"
    );
    assert_eq!(container["readinessProbe"]["httpGet"]["path"], "/readyz");
    assert!(
        container["readinessProbe"]["timeoutSeconds"].as_f64().unwrap() > 1.5,
        "as long as /readyz may take"
    );
    let answers: Vec<_> = paths.into_iter().map(|path| (path, status(&at, path))).collect();
    server.kill().unwrap();
    server.wait().unwrap();
    for (path, answer) in answers {
        assert!(answer.starts_with("HTTP/1.1 200 "), "{path}: {answer}");
    }
}

fn status(at: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(at).unwrap();
    // As the kubelet asks: by the address of the pod.
    stream
        .write_all(
            format!("GET {path} HTTP/1.1\r\nHost: 10.244.0.7:9990\r\nConnection: close\r\n\r\n").as_bytes(),
        )
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.lines().next().unwrap_or_default().to_owned()
}

#[test]
fn a_pod_has_the_time_that_its_farewell_takes() {
    let objects = objects();
    let deployment = object(&objects, "Deployment", "hongyan");
    let stop = texts(&container(deployment)["lifecycle"]["preStop"]["exec"]["command"]);
    // scripts/image sees that there is one in the image.
    assert_eq!(stop[0], "sleep");
    let grace = deployment["spec"]["template"]["spec"]["terminationGracePeriodSeconds"].as_u64().unwrap();
    assert!(grace > stop[1].parse::<u64>().unwrap() + DRAIN_S);
    assert_eq!(deployment["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"], 0);
    assert!(
        deployment["spec"]["replicas"].as_u64().unwrap()
            > object(&objects, "PodDisruptionBudget", "hongyan")["spec"]["maxUnavailable"].as_u64().unwrap()
    );
}

#[test]
fn the_objects_of_kubernetes_find_each_other() {
    let objects = objects();
    for name in ["hongyan", "nats"] {
        let deployment = object(&objects, "Deployment", name);
        let labels = &deployment["spec"]["template"]["metadata"]["labels"];
        assert_eq!(deployment["spec"]["selector"]["matchLabels"], *labels);
        let service = object(&objects, "Service", name);
        assert_eq!(service["spec"]["selector"], *labels);
        for listed in service["spec"]["ports"].as_array().unwrap() {
            port(container(deployment), &listed["targetPort"]);
        }
        let policy = object(&objects, "NetworkPolicy", name);
        assert_eq!(policy["spec"]["podSelector"]["matchLabels"], *labels);
        for rule in policy["spec"]["ingress"].as_array().unwrap() {
            for listed in rule["ports"].as_array().unwrap() {
                port(container(deployment), &listed["port"]);
            }
        }
        for volume in deployment["spec"]["template"]["spec"]["volumes"].as_array().unwrap() {
            if let Some(secret) = volume["secret"]["secretName"].as_str() {
                object(&objects, "Secret", secret);
            }
            if let Some(map) = volume["configMap"]["name"].as_str() {
                object(&objects, "ConfigMap", map);
            }
        }
        let secured = &container(deployment)["securityContext"];
        assert_eq!(
            (&secured["readOnlyRootFilesystem"], &secured["allowPrivilegeEscalation"]),
            (&Value::from(true), &Value::from(false))
        );
    }
    let hongyan = object(&objects, "Deployment", "hongyan");
    let labels = &hongyan["spec"]["template"]["metadata"]["labels"];
    assert_eq!(
        object(&objects, "PodDisruptionBudget", "hongyan")["spec"]["selector"]["matchLabels"],
        *labels
    );
    for constraint in hongyan["spec"]["template"]["spec"]["topologySpreadConstraints"].as_array().unwrap() {
        assert_eq!(constraint["labelSelector"]["matchLabels"], *labels);
    }
    let admin = object(&objects, "Service", "hongyan-admin");
    assert_eq!(admin["spec"]["selector"], *labels);
    let data = &object(&objects, "ConfigMap", "hongyan")["data"];
    for (name, variable) in [("ops", "HONGYAN_OPS__LISTEN"), ("admin", "HONGYAN_ADMIN__LISTEN")] {
        let listens = port(container(hongyan), &Value::from(name));
        assert!(data[variable].as_str().unwrap().ends_with(&format!(":{listens}")), "{name}");
    }
    let backend =
        &object(&objects, "Ingress", "hongyan")["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"];
    let service = object(&objects, "Service", backend["name"].as_str().unwrap());
    assert!(
        service["spec"]["ports"]
            .as_array()
            .unwrap()
            .iter()
            .any(|port| port["name"] == backend["port"]["name"])
    );
}

#[test]
fn kubernetes_has_the_same_nats_and_the_same_time_outs() {
    let objects = objects();
    assert_eq!(object(&objects, "ConfigMap", "nats")["data"]["nats.conf"], text("deploy/nats/nats.conf"));
    let nats = container(object(&objects, "Deployment", "nats"));
    let compose = compose();
    assert_eq!(nats["image"], compose["services"]["nats"]["image"]);
    assert_eq!(nats["args"], compose["services"]["nats"]["command"]);
    let check = texts(&nats["livenessProbe"]["exec"]["command"]);
    assert_eq!(check, texts(&compose["services"]["nats"]["healthcheck"]["test"])[1..]);
    let secret = &object(&objects, "Secret", "nats")["stringData"]["password.conf"];
    let url = &object(&objects, "Secret", "hongyan")["stringData"]["nats-url"];
    let password =
        secret.as_str().unwrap().trim().strip_prefix("NATS_PASSWORD: \"").unwrap().trim_end_matches('"');
    let client = port(nats, &Value::from("client"));
    assert_eq!(url.as_str().unwrap(), format!("nats://hongyan:{password}@nats:{client}"));

    let annotations = &object(&objects, "Ingress", "hongyan")["metadata"]["annotations"];
    let site = text("deploy/nginx/hongyan.conf");
    for name in [
        "proxy-connect-timeout",
        "proxy-read-timeout",
        "proxy-send-timeout",
        "proxy-next-upstream",
        "proxy-buffering",
    ] {
        let value = annotations[format!("nginx.ingress.kubernetes.io/{name}")].as_str().unwrap();
        let line = format!("{} {value}", name.replace('-', "_"));
        assert!(
            site.lines().any(|l| l.trim().trim_end_matches("s;").trim_end_matches(';') == line),
            "{line}"
        );
    }
}
