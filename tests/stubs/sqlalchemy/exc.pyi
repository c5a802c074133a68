class DBAPIError(Exception):
    orig: BaseException | None
