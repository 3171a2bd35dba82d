//! The client files that a server hands to browsers.

use std::path::PathBuf;

use sockeye_server::{ClientFiles, ClientFilesError, Cors, Server, ServerConfig};
use sockeye_testkit::{Request, ServerRig};

/// A directory of its own for one test, which goes with it.
struct Dir(PathBuf);

impl Dir {
    fn new(test: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("sockeye-{test}-{}", std::process::id()));
        std::fs::create_dir_all(&dir).expect("a directory for temporary files");
        Self(dir)
    }

    fn write(&self, name: &str, content: &str) {
        std::fs::write(self.0.join(name), content).expect("a file");
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[tokio::test]
async fn own_client_is_served_unless_turned_off() {
    let rig = ServerRig::tcp(&Server::new()).await;
    let request = Request::get("/socket.io/sockeye.js");
    let answer = rig.net.request(&request).await;
    assert_eq!(answer.status, 200);
    assert_eq!(
        answer.header("content-type"),
        Some("application/javascript; charset=utf-8")
    );
    assert!(answer.text().contains("export"), "it is an ES module");
    let tag = answer.header("etag").unwrap();
    let known = request.clone().header("if-none-match", tag);
    assert_eq!(rig.net.request(&known).await.brief(), (304, ""));

    let config = ServerConfig::default().serve_client(false);
    let rig = ServerRig::tcp(&Server::with_config(config).unwrap()).await;
    assert_eq!(rig.net.request(&request).await.status, 400);
}

#[tokio::test]
async fn official_bundles_are_served_at_their_names() {
    let dir = Dir::new("bundles");
    dir.write("socket.io.js", "plain");
    dir.write("socket.io.js.gz", "packed");
    dir.write("socket.io.js.map", "{}");
    dir.write("secret.txt", "not a bundle");
    let files = ClientFiles::from_dir(&dir.0).unwrap();
    let config = ServerConfig::default()
        .client_files(files)
        .engine(|engine| engine.cors(Cors::any()));
    let rig = ServerRig::tcp(&Server::with_config(config).unwrap()).await;
    let get = |name: &str| Request::get(&format!("/socket.io/{name}"));
    let plain = rig.net.request(&get("socket.io.js?v=1")).await;
    assert_eq!(plain.brief(), (200, "plain"));
    assert_eq!(plain.header("access-control-allow-origin"), Some("*"));
    assert_eq!(plain.header("cache-control"), Some("public, max-age=0"));
    let packed = get("socket.io.js").header("accept-encoding", "br, gzip");
    let packed = rig.net.request(&packed).await;
    assert_eq!(packed.brief(), (200, "packed"));
    assert_eq!(packed.header("content-encoding"), Some("gzip"));
    let map = rig.net.request(&get("socket.io.js.map")).await;
    assert_eq!(map.brief(), (200, "{}"));
    assert_eq!(
        map.header("content-type"),
        Some("application/json; charset=utf-8")
    );
    for name in [
        "secret.txt",
        "socket.io.min.js",
        "../Cargo.toml",
        "%2e%2e/x",
    ] {
        assert_eq!(rig.net.request(&get(name)).await.status, 400, "{name}");
    }
    let posted = get("socket.io.js").method("POST");
    assert_eq!(rig.net.request(&posted).await.status, 405);
}

#[test]
fn directory_without_bundles_is_an_error_that_names_it() {
    let dir = Dir::new("empty");
    let error = ClientFiles::from_dir(&dir.0).unwrap_err();
    assert!(matches!(error, ClientFilesError::Empty(_)), "{error:?}");
    assert!(error.to_string().contains("sockeye-empty"), "{error}");
    dir.write("socket.io.js", "plain");
    assert!(ClientFiles::from_dir(&dir.0).is_ok());
    // A directory where a file should be cannot be read.
    std::fs::create_dir(dir.0.join("socket.io.min.js")).unwrap();
    let error = ClientFiles::from_dir(&dir.0).unwrap_err();
    assert!(matches!(error, ClientFilesError::Read { .. }), "{error:?}");
}
