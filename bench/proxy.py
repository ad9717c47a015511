"""The configuration with which a benchmark's nginx runs: the product's own, on loopback and without TLS."""

import os
from collections.abc import Sequence
from pathlib import Path
from string import Template

from bench.site import ROOT

OURS = ROOT / "deploy" / "nginx"

MAIN = Template("""
daemon off;
$user
worker_processes 1;
pid $folder/nginx.pid;
error_log $folder/nginx-error.log warn;
events { worker_connections 1024; }
http {
    access_log off;
    types { text/html html; }
    client_body_temp_path $folder/body;
    proxy_temp_path $folder/proxied;
    fastcgi_temp_path $folder/fastcgi;
    uwsgi_temp_path $folder/uwsgi;
    scgi_temp_path $folder/scgi;
    include $ours/http.conf;
    include $folder/upstreams.conf;
    server {
        listen 127.0.0.1:$port;
        include $ours/site.conf;
    }
}
""")


def configuration(folder: Path, port: int, web_ports: Sequence[int]) -> Path:
    """Write it into a folder, and return the file."""
    servers = " ".join(f"server 127.0.0.1:{one} max_fails=0;" for one in web_ports)
    upstreams = Template((OURS / "upstreams.conf.template").read_text())
    (folder / "upstreams.conf").write_text(
        upstreams.substitute(FORUM_SERVERS=servers, FORUM_CACHE=str(folder / "kept"))
    )
    file = folder / "nginx.conf"
    user = "user root;" if os.geteuid() == 0 else ""
    file.write_text(MAIN.substitute(folder=folder, ours=OURS, port=port, user=user))
    return file
