"""Pages in the browser, served from this machine alone: extra `avssl[web]`, the only package that imports Starlette.

A page is a `Page`: a title, its HTML file in `avssl/web/static`, the files that it may read, and routes of its own.
`serve(page, port)` prints its address, opens a browser, and serves until Ctrl-C. To add one:

1. put `NAME.html` and a folder `NAME/` of JavaScript modules and style sheets into `avssl/web/static`. Addresses in
   them are relative (`static/NAME/main.js`, `media/0`), so that the token of the page's address goes with every
   request; `static/base.css` has colours for light and dark, buttons and focus marks;
2. write a function that returns `Page(title, "NAME.html", media=[...], routes=[Route("/film.json", ...)])`. A file in
   `media` is served by its index alone, `media/0`, with range requests; no name or path of a file is ever part of an
   address. What decodes runs in `decoding(function, *arguments)`, in few threads whose open files are bounded;
3. write the command in `avssl/cli`, import this package inside it by `avssl.cli.web_extra`, and call `serve`;
4. in tests, `running(page)` serves in a thread and gives the address; the fixture `chromium` opens it (marker
   `browser`).

An `InputError` in a route is answered with status 422 and its one line as plain text.
"""
