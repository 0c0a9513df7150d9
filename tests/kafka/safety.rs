//! TLS and passwords: what is right connects, what is wrong is named in the log.

use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::fleet::{self, Setting};
use super::harness::Broker;

/// A certificate authority and a broker's certificate, made by openssl.
fn certificates(folder: &Path) {
    let openssl = |arguments: &str| {
        let output = Command::new("openssl")
            .args(arguments.split(' '))
            .current_dir(folder)
            .output();
        let output = output.expect("openssl runs");
        assert!(
            output.status.success(),
            "openssl {arguments}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    };
    openssl("req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -days 2 -subj /CN=ca");
    openssl("req -newkey rsa:2048 -nodes -keyout broker.key -out broker.csr -subj /CN=broker");
    std::fs::write(
        folder.join("ext"),
        "subjectAltName=IP:127.0.0.1,DNS:localhost",
    )
    .expect("the folder takes a file");
    openssl(
        "x509 -req -in broker.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile ext -out broker.crt",
    );
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).expect("openssl wrote it");
    std::fs::write(
        folder.join("broker.pem"),
        read("broker.key") + &read("broker.crt"),
    )
    .expect("the folder takes a file");
}

/// Properties of a broker that also listens with TLS and passwords on this port, and knows one user.
pub(crate) fn secured(folder: &Path, port: u16) -> String {
    certificates(folder);
    let path = folder.display();
    format!(
        "listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SASL_SSL:SASL_SSL
extra.listener=SASL_SSL://127.0.0.1:{port}
ssl.keystore.type=PEM
ssl.keystore.location={path}/broker.pem
ssl.truststore.type=PEM
ssl.truststore.location={path}/ca.pem
sasl.enabled.mechanisms=PLAIN
listener.name.sasl_ssl.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required user_pythia=\"secret1\";
"
    )
}

/// A port that was free a moment ago.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr());
    listener.expect("a free port").port()
}

#[test]
fn tls_and_passwords_connect_and_a_wrong_password_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let port = free_port();
    let path = folder.path().display();
    let properties = secured(folder.path(), port);
    let Some(broker) = Broker::own("safety", &properties) else {
        return;
    };
    let mut setting = Setting::new(&broker, "safety");
    fleet::produce(&broker, &setting.input, &fleet::recorded(300));
    setting.bootstrap = format!("127.0.0.1:{port}");
    let security = |password: &str| {
        format!(
            "[kafka.security]\nprotocol = \"sasl_ssl\"\nca = \"{path}/ca.pem\"\nmechanism = \"PLAIN\"\nusername = \"pythia\"\npassword = {password:?}\n"
        )
    };
    let mut wrong = setting.start("wrong", &security("secret2"));
    wrong.wait_for_log("Invalid username or password");
    wrong.assert_running();
    assert_eq!(wrong.page("/readyz").0, 503, "not ready without a broker");
    assert!(
        !wrong.log().contains("secret2"),
        "the password is not in the log"
    );
    wrong.kill();

    let right = setting.start("right", &security("secret1"));
    fleet::wait_until_committed(&broker, &setting.input, &setting.group);
    assert_eq!(right.page("/readyz").0, 200);
    right.stop();

    let mut stranger = setting.start(
        "stranger",
        &security("secret1").replace("/ca.pem", "/broker.crt"),
    );
    stranger.wait_for_log("certificate verify failed");
    stranger.signal("-TERM");
    assert_eq!(stranger.wait_for_end(Duration::from_secs(30)), 0);
}
