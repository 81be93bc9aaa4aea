//! Where the server listens.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use socket2::{Domain, Socket, Type};

use crate::config::Listen;

/// Connections that the kernel completes before they are accepted. The kernel cuts it to `net.core.somaxconn`.
const BACKLOG: i32 = 4_096;

/// A socket that listens.
pub enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener, PathBuf),
}

#[derive(Debug, thiserror::Error)]
pub enum BindError {
    #[error("cannot listen on {at}: the address is in use (is another hongyan running? choose another with server.listen)")]
    InUse { at: String },
    #[error("cannot listen on {at}: what stands there is no socket; move it away, or choose another path with server.listen")]
    NoSocket { at: String },
    #[error("cannot listen on {at}")]
    Io { at: String, source: std::io::Error },
}

impl BindError {
    fn new(at: &str, source: std::io::Error) -> Self {
        match source.kind() {
            ErrorKind::AddrInUse => Self::InUse { at: at.into() },
            _ => Self::Io { at: at.into(), source },
        }
    }
}

impl Listener {
    /// # Errors
    /// [`BindError`], with the address in it.
    pub fn bind(listen: &Listen) -> Result<Self, BindError> {
        match listen {
            Listen::Tcp(at) => tcp(*at).map(Self::Tcp),
            Listen::Unix(path) => {
                make_way(path)?;
                unix(path).map_err(|e| BindError::new(&path.display().to_string(), e)).map(|l| Self::Unix(l, path.clone()))
            }
        }
    }

    /// Its address, where it is no Unix socket.
    pub fn local_address(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(listener) => listener.local_addr().ok(),
            Self::Unix(..) => None,
        }
    }

    /// Another handle of the same socket: what waits to be accepted waits for whoever comes first.
    ///
    /// # Errors
    /// When there are no descriptors left.
    pub fn try_clone(&self) -> std::io::Result<Self> {
        match self {
            Self::Tcp(listener) => listener.try_clone().map(Self::Tcp),
            Self::Unix(listener, path) => listener.try_clone().map(|listener| Self::Unix(listener, path.clone())),
        }
    }

    /// Where clients reach it: with port 0 asked for, the port that was given.
    pub fn at(&self) -> String {
        match self {
            Self::Tcp(listener) => listener.local_addr().map_or_else(|_| "unknown".into(), |at| at.to_string()),
            Self::Unix(_, path) => format!("unix:{}", path.display()),
        }
    }
}

/// # Errors
/// [`BindError`], with the address in it.
pub fn tcp(at: SocketAddr) -> Result<TcpListener, BindError> {
    let bind = || {
        let socket = Socket::new(Domain::for_address(at), Type::STREAM, None)?;
        socket.set_reuse_address(true)?;
        socket.bind(&at.into())?;
        socket.listen(BACKLOG)?;
        socket.set_nonblocking(true)?;
        Ok(TcpListener::from(socket))
    };
    bind().map_err(|e| BindError::new(&at.to_string(), e))
}

/// A socket that refuses connections is one that a killed server left behind. Nothing else is replaced: not a file, not a link, not a
/// socket of another kind, not one that this user may not connect to or whose queue is full (unix(7)).
fn make_way(path: &Path) -> Result<(), BindError> {
    let at = path.display().to_string();
    match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(source) => Err(BindError::Io { at, source }),
        Ok(there) if !there.file_type().is_socket() => Err(BindError::NoSocket { at }),
        Ok(_) => match UnixStream::connect(path) {
            Ok(_) => Err(BindError::InUse { at }),
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => std::fs::remove_file(path).map_err(|e| BindError::new(&at, e)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Err(BindError::InUse { at }),
            Err(source) => Err(BindError::Io { at, source }),
        },
    }
}

fn unix(path: &Path) -> std::io::Result<UnixListener> {
    let listener = UnixListener::bind(path)?;
    // As open as a loopback port; the folder that it stands in says who may reach it.
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o666))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}
