"""A fitted model as a web page and its JSON API, for one computer: `autoenc serve`.

    catalogue.py  the items by id and by title
    starters.py   well-known items to start with
    crowd.py      the users that a user's likes are compared with
    strips.py     the output of every layer of a network for one list of likes
    answers.py    the API's answers, as plain dicts, without HTTP
    api.py        the API's operations and parameters: one table, used to read requests and
                  to write the OpenAPI description
    app.py        the page and the API over HTTP, with limits and headers
    connection.py how long a client may keep a connection waiting
    server.py     a process that listens and serves a model
    ending.py     how it ends on Ctrl-C and SIGTERM
    on_demand.py      a model that is created on first use
    demonstration.py  the models that are served if none is given
    static/       the page: HTML, CSS and JavaScript modules, without a build step

Only app.py, connection.py and server.py need the extra `serve` (Starlette and uvicorn).
"""
