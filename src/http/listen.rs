//! Sockets that the server listens on.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use actix_http::error::DispatchError;
use actix_server::{Server, ServerBuilder};
use actix_service::boxed::BoxServiceFactory;
use actix_service::{ServiceFactory, ServiceFactoryExt as _};
use socket2::{Domain, Type};
use tokio_util::either::Either;

use super::pacer::accept_pacer;
use super::stream::Socket;
use crate::config::Listen;
use crate::files::{Denied, Need, access};

/// Connections that the kernel completes before they are accepted. The kernel cuts it to
/// `net.core.somaxconn`.
const BACKLOG: i32 = 4_096;

/// A socket that listens.
pub enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener, PathBuf),
}

#[derive(Debug, thiserror::Error)]
pub enum BindError {
    #[error(
        "cannot listen on {at}: the address is in use (is another hongyan running? choose another with server.listen, ops.listen or admin.listen)"
    )]
    InUse { at: String },
    #[error(
        "cannot listen on {at}: what stands there is no socket; move it away, or choose another path with server.listen or admin.listen"
    )]
    NoSocket { at: String },
    #[error("cannot listen on {at}: the folder {} does not exist; make it for the server's user (systemd: RuntimeDirectory=), or choose another \
             path with server.listen or admin.listen", folder.display())]
    NoFolder { at: String, folder: PathBuf },
    #[error(transparent)]
    Denied(#[from] Denied),
    #[error(
        "cannot listen on {at}: only root may use a port below 1024; choose another with server.listen, ops.listen or admin.listen, and let a proxy have 443"
    )]
    Privileged { at: String },
    #[error(
        "cannot listen on {at}: no interface of this machine has that address; choose another with server.listen, ops.listen or admin.listen"
    )]
    NoSuchAddress { at: String },
    #[error("cannot listen on {at}")]
    Io { at: String, source: std::io::Error },
}

impl BindError {
    fn new(at: &str, source: std::io::Error) -> Self {
        match source.kind() {
            ErrorKind::AddrInUse => Self::InUse { at: at.into() },
            ErrorKind::AddrNotAvailable => Self::NoSuchAddress { at: at.into() },
            ErrorKind::PermissionDenied if !at.contains('/') => Self::Privileged { at: at.into() },
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
                unix(path)
                    .map_err(|e| BindError::new(&path.display().to_string(), e))
                    .map(|l| Self::Unix(l, path.clone()))
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
            Self::Unix(listener, path) => {
                listener.try_clone().map(|listener| Self::Unix(listener, path.clone()))
            }
        }
    }

    /// Where clients reach it: with port 0 asked for, the port that was given.
    pub fn at(&self) -> String {
        match self {
            Self::Tcp(listener) => {
                listener.local_addr().map_or_else(|_| "unknown".into(), |at| at.to_string())
            }
            Self::Unix(_, path) => format!("unix:{}", path.display()),
        }
    }
}

/// What serves the sockets that were accepted.
pub type SocketService = BoxServiceFactory<(), Socket, (), DispatchError, ()>;

/// Has each worker of `server` serve what the listener accepts, one connection a turn.
///
/// # Errors
/// When the listener cannot be watched.
pub fn listen(
    server: ServerBuilder,
    name: &str,
    listener: Listener,
    service: impl Fn() -> SocketService + Clone + Send + 'static,
) -> std::io::Result<Server> {
    let server = match listener {
        Listener::Tcp(tcp) => server.listen(name, tcp, move || turns(Either::Left).and_then(service()))?,
        Listener::Unix(unix, _) => {
            server.listen_uds(name, unix, move || turns(Either::Right).and_then(service()))?
        }
    };
    Ok(server.run())
}

fn turns<T: 'static>(
    socket: fn(T) -> Socket,
) -> impl ServiceFactory<T, Config = (), Response = Socket, Error = DispatchError, InitError = ()> {
    accept_pacer().map(socket)
}

/// Looks whether one could listen there, and does not.
///
/// # Errors
/// [`BindError`], as [`Listener::bind`] would give it.
pub fn check(listen: &Listen) -> Result<(), BindError> {
    let path = match listen {
        Listen::Tcp(at) => return check_tcp(*at),
        Listen::Unix(path) => path,
    };
    let (at, folder) = (path.display().to_string(), path.parent().unwrap_or(Path::new("/")));
    access(path, Need::Read)?;
    if !folder.is_dir() {
        return Err(BindError::NoFolder { at, folder: folder.to_owned() });
    }
    access(folder, Need::Write)?;
    is_left_behind(path).map(|_| ())
}

/// The same of a port.
///
/// # Errors
/// [`BindError`].
pub fn check_tcp(at: SocketAddr) -> Result<(), BindError> {
    bound(at).map(|_| ()).map_err(|e| BindError::new(&at.to_string(), e))
}

/// # Errors
/// [`BindError`], with the address in it.
pub fn tcp(at: SocketAddr) -> Result<TcpListener, BindError> {
    let bind = || {
        let socket = bound(at)?;
        socket.listen(BACKLOG)?;
        socket.set_nonblocking(true)?;
        Ok(TcpListener::from(socket))
    };
    bind().map_err(|e| BindError::new(&at.to_string(), e))
}

fn bound(at: SocketAddr) -> std::io::Result<socket2::Socket> {
    let socket = socket2::Socket::new(Domain::for_address(at), Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.bind(&at.into())?;
    Ok(socket)
}

fn make_way(path: &Path) -> Result<(), BindError> {
    match is_left_behind(path)? {
        true => std::fs::remove_file(path).map_err(|e| BindError::new(&path.display().to_string(), e)),
        false => Ok(()),
    }
}

/// Whether a socket stands there that may be removed. A socket that refuses connections is one that a killed
/// server left behind. Nothing else is replaced: not a file, not a link, not a socket of another kind, not
/// one that this user may not connect to or whose queue is full (unix(7)).
fn is_left_behind(path: &Path) -> Result<bool, BindError> {
    let at = path.display().to_string();
    match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(source) => Err(BindError::Io { at, source }),
        Ok(there) if !there.file_type().is_socket() => Err(BindError::NoSocket { at }),
        Ok(_) => match UnixStream::connect(path) {
            Ok(_) => Err(BindError::InUse { at }),
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => Ok(true),
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
