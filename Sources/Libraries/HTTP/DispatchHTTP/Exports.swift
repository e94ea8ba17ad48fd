// The server's interface contains types of these modules, so one import is enough.
@_exported public import DispatchLoop
@_exported public import HTTP1
