"""A fitted model as a web page and its JSON API, for one computer: `autoenc serve`.

    catalogue.py  the items by id and by title
    starters.py   well-known items to begin with
    crowd.py      the users beside whom somebody stands
    strips.py     what every layer of a network answers to one list of likes
    answers.py    what the API answers, as plain dicts, without HTTP
    api.py        the API's operations and parameters: one table, from which requests are read and
                  the OpenAPI description is written
    app.py        both over HTTP, with bounds and headers
    connection.py how long a client may keep a connection waiting
    server.py     a process that listens and serves a model
    ending.py     what Ctrl-C and SIGTERM do to it
    on_demand.py      a model that is made when it is first asked for
    demonstration.py  what is served when nothing is named
    static/       the page: HTML, CSS and JavaScript modules as they are, without a build

Only app.py, connection.py and server.py need the extra `serve` (Starlette and uvicorn).
"""
