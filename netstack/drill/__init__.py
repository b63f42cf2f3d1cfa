"""An interpreter of the packetdrill test language: scripts of packets and system calls on one time line.

Reading path: `nodes` (what a script is), `parse`, `engine` (how it is run), `flow` (numbers of the script and of the
wire), `compare`. A *host* runs the system calls and the packets: `virtual` is netstack in virtual time, `kernel`
is Linux itself on a TUN device in real time.
"""
