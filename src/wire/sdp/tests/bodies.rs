//! Bodies as real devices write them (addresses replaced). Each is a test vector for all readers.

pub(super) const SAMSUNG: &str = "v=0\r\no=SAMSUNG-SIP 4102 1 IN IP4 10.17.0.21\r\ns=sip call\r\n\
    c=IN IP4 10.17.0.21\r\nt=0 0\r\nm=audio 30042 RTP/AVP 8 0 18 101\r\na=rtpmap:8 PCMA/8000\r\n\
    a=rtpmap:0 PCMU/8000\r\na=rtpmap:18 G729/8000\r\na=fmtp:18 annexb=no\r\n\
    a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=ptime:20\r\na=sendrecv\r\n\
    a=rtcp:30043\r\n";

pub(super) const LINPHONE: &str = "v=0\r\no=alice 3283 2914 IN IP4 192.168.1.34\r\ns=Talk\r\n\
    c=IN IP4 192.168.1.34\r\nb=AS:380\r\nt=0 0\r\n\
    a=rtcp-xr:rcvr-rtt=all:10000 stat-summary=loss,dup,jitt,TTL voip-metrics\r\n\
    a=ice-pwd:b69aaa4d7b76a0a2c0ed42c2\r\na=ice-ufrag:f9d2f0f3\r\n\
    m=audio 7078 RTP/AVP 96 97 98 0 8 101 99 100\r\n\
    c=IN IP4 203.0.113.99\r\na=rtpmap:96 opus/48000/2\r\na=fmtp:96 useinbandfec=1\r\n\
    a=rtpmap:97 SILK/16000\r\na=rtpmap:98 speex/16000\r\na=fmtp:98 vbr=on\r\n\
    a=rtpmap:101 telephone-event/48000\r\na=rtcp:7079 IN IP4 203.0.113.99\r\n\
    a=candidate:1 1 UDP 2130706431 192.168.1.34 7078 typ host\r\n\
    a=candidate:1 2 UDP 2130706430 192.168.1.34 7079 typ host\r\n\
    a=candidate:2 1 UDP 1694498815 203.0.113.99 7078 typ srflx raddr 192.168.1.34 rport 7078\r\n\
    a=rtcp-fb:* trr-int 5000\r\nm=video 9078 RTP/AVP 96\r\na=rtpmap:96 VP8/90000\r\n\
    a=rtcp-fb:* ccm fir\r\n";

pub(super) const BARESIP: &str = "v=0\r\no=- 3844012457 1027846113 IN IP4 10.1.0.11\r\ns=-\r\n\
    c=IN IP4 10.1.0.11\r\nt=0 0\r\na=tool:baresip 3.10.1\r\n\
    m=audio 14502 RTP/AVP 96 0 8 101\r\nb=AS:128\r\na=rtpmap:96 opus/48000/2\r\n\
    a=fmtp:96 stereo=1;sprop-stereo=1\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\n\
    a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=rtcp:14503\r\na=sendrecv\r\n\
    a=label:1\r\na=rtcp-rsize\r\na=ssrc:2921457421 cname:sip:101@10.1.0.11\r\na=ptime:20\r\n";

pub(super) const WEBRTC: &str = "v=0\r\no=- 4611731400430051336 2 IN IP4 127.0.0.1\r\ns=-\r\n\
    t=0 0\r\na=group:BUNDLE 0 1\r\na=extmap-allow-mixed\r\na=msid-semantic: WMS s\r\n\
    m=audio 9 UDP/TLS/RTP/SAVPF 111 0\r\nc=IN IP4 0.0.0.0\r\na=rtcp:9 IN IP4 0.0.0.0\r\n\
    a=candidate:1 1 udp 2113937151 6f1e7d1c-aaaa.local 51472 typ host generation 0\r\n\
    a=candidate:2 1 udp 1677729535 198.51.100.9 51472 typ srflx raddr 0.0.0.0 rport 0\r\n\
    a=ice-ufrag:Oyef\r\na=ice-pwd:T0teqPLNQQOf+5W+ls+P2p16\r\na=ice-options:trickle\r\n\
    a=fingerprint:sha-256 C4:5B:2B:E6:FC:1D:62:AE:60:6F:1C:F7:CF:53:1E:CF:CB:21:AA:2F:8D:0E:4A:0B:\
    A0:21:7F:16:7E:A7:86:CB\r\n\
    a=setup:actpass\r\na=mid:0\r\na=sendrecv\r\na=rtcp-mux\r\na=rtcp-rsize\r\n\
    a=rtpmap:111 opus/48000/2\r\na=fmtp:111 minptime=10;useinbandfec=1\r\n\
    m=video 0 UDP/TLS/RTP/SAVPF 96\r\nc=IN IP4 0.0.0.0\r\na=mid:1\r\na=bundle-only\r\n\
    a=rtcp-mux\r\na=inactive\r\na=rtpmap:96 VP8/90000\r\n";

pub(super) const T38: &str = "v=0\r\no=fax 12 13 IN IP4 192.0.2.50\r\ns=-\r\n\
    c=IN IP4 192.0.2.50\r\nt=0 0\r\nm=image 16400 udptl t38\r\na=T38FaxVersion:0\r\n\
    a=T38MaxBitRate:14400\r\na=T38FaxRateManagement:transferredTCF\r\na=T38FaxMaxBuffer:2000\r\n\
    a=T38FaxUdpEC:t38UDPRedundancy\r\nm=audio 0 RTP/AVP 8\r\n";

pub(super) const BFCP: &str = "v=0\r\no=room 1 1 IN IP4 192.0.2.60\r\ns=-\r\n\
    c=IN IP4 192.0.2.60\r\n\
    t=0 0\r\nm=audio 49170 RTP/AVP 0\r\na=label:10\r\nm=application 20000 TCP/BFCP *\r\n\
    a=setup:passive\r\na=connection:new\r\na=confid:4321\r\na=userid:1234\r\n\
    a=floorid:543 m-stream:10\r\nm=message 7777 TCP/MSRP *\r\na=accept-types:text/plain\r\n\
    a=path:msrp://192.0.2.60:7777/iau39soe2843z;tcp\r\n";

pub(super) const TWO_AUDIO: &str = "v=0\r\no=- 9 9 IN IP4 192.0.2.70\r\ns=two lines\r\nt=0 0\r\n\
    a=recvonly\r\nm=audio 49170 RTP/AVP 0\r\nc=IN IP4 192.0.2.71\r\n\
    m=audio 49174/2 RTP/SAVP 8\r\nc=IN IP4 192.0.2.72/127\r\n\
    a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz|2^20|1:4\r\n\
    a=sendonly\r\n";

pub(super) const IPV6: &str = "v=0\r\no=- 1 1 IN IP6 2001:db8::55\r\ns=-\r\n\
    c=IN IP6 2001:db8::55\r\n\
    t=0 0\r\nm=audio 6000 RTP/AVP 0\r\na=rtcp:6005 IN IP6 2001:db8::56\r\n";

pub(super) const ALL: [&str; 8] = [SAMSUNG, LINPHONE, BARESIP, WEBRTC, T38, BFCP, TWO_AUDIO, IPV6];

/// A held stream in one dialect.
pub(super) fn hold(connection: &str, attribute: &str) -> String {
    format!(
        "v=0\no=- 1 2 IN IP4 10.1.1.1\ns=-\nc={connection}\nt=0 0\n\
         m=audio 4000 RTP/AVP 0\n{attribute}"
    )
}
