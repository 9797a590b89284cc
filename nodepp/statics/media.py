"""Which media type a file has: by its extension, from a table of its own.

The mimetypes module reads files of the machine, so that the same site would differ from one to the
next. The table is that of the IANA registry, completed from what Apache, nginx and mime-db know;
where browsers expect another name (the WHATWG MIME Sniffing standard, RFC 9239 for JavaScript) it
has that one. About a thousand extensions, read when the first file is.
"""

from __future__ import annotations

UNKNOWN = "application/octet-stream"


def media_type(name: str) -> str:
    """The Content-Type for a file name or path; application/octet-stream when it is not known.

    Text has its charset, UTF-8. XML and SVG say theirs themselves, and a parameter would overrule
    that (RFC 7303 §3.2); JSON has none (RFC 8259 §11).
    """
    stem, dot, extension = name.rpartition("/")[2].rpartition(".")
    if not dot or not stem:
        return UNKNOWN
    return table().get(extension.lower(), UNKNOWN)


_table: dict[str, str] = {}


def table() -> dict[str, str]:
    """Extension, in lower case and without its dot → Content-Type."""
    if not _table:
        for group, text in GROUPS.items():
            charset = "; charset=utf-8" if group == "text" else ""
            for pair in text.split():
                extension, _, name = pair.partition(":")
                _table[extension] = f"{group}/{name}{charset}"
    return _table


# extension:subtype, by the type that they share.
GROUPS = {
    "application": """
        123:vnd.lotus-1-2-3 7z:x-7z-compressed aab:x-authorware-bin aam:x-authorware-map
        aas:x-authorware-seg abw:x-abiword ac:pkix-attr-cert ace:x-ace-compressed
        afm:x-font-type1 ai:postscript air:vnd.adobe.air-application-installer-package+zip
        aml:automationml-aml+xml amlx:automationml-amlx+zip apk:vnd.android.package-archive
        appinstaller:appinstaller application:x-ms-application appx:appx
        appxbundle:appxbundle apr:vnd.lotus-approach arc:x-freearc arj:x-arj
        arrow:vnd.apache.arrow.file atom:atom+xml atomcat:atomcat+xml
        atomdeleted:atomdeleted+xml atomsvc:atomsvc+xml avro:avro avsc:json aw:applixware
        azw:vnd.amazon.ebook azw3:vnd.amazon.mobi8-ebook bcpio:x-bcpio bdf:x-font-bdf
        bdoc:bdoc bin:octet-stream blb:x-blorb blend:x-blender blorb:x-blorb boz:x-bzip2
        bpk:octet-stream br:octet-stream buffer:octet-stream bz:x-bzip bz2:x-bzip2
        cab:vnd.ms-cab-compressed cap:vnd.tcpdump.pcap cat:vnd.ms-pki.seccat cb7:x-cbr
        cba:x-cbr cbr:vnd.comicbook-rar cbt:x-cbr cbz:vnd.comicbook+zip cco:x-cocoa
        cct:x-director ccxml:ccxml+xml cdf:x-netcdf cdfx:cdfx+xml cdmia:cdmi-capability
        cdmic:cdmi-container cdmid:cdmi-domain cdmio:cdmi-object cdmiq:cdmi-queue
        cer:pkix-cert cfs:x-cfs-compressed chat:x-chat chm:vnd.ms-htmlhelp
        chrt:vnd.kde.kchart cil:vnd.ms-artgalry class:java-vm clp:x-msclip com:x-msdownload
        cpio:x-cpio cpl:cpl+xml cpt:mac-compactpro crd:x-mscardfile crl:pkix-crl
        crt:x-x509-ca-cert crx:x-chrome-extension csh:x-csh cst:x-director cu:cu-seeme
        cwl:cwl cww:prs.cww cxt:x-director dart:dart dat:octet-stream davmount:davmount+xml
        db:octet-stream dbk:docbook+xml dcm:dicom dcr:x-director
        deb:vnd.debian.binary-package deploy:octet-stream der:x-x509-ca-cert
        desktop:x-desktop dfxp:ttml+xml dgc:x-dgc-compressed dir:x-director
        dist:octet-stream distz:octet-stream dll:vnd.microsoft.portable-executable
        dmg:x-apple-diskimage dmp:vnd.tcpdump.pcap dms:octet-stream doc:msword
        docm:vnd.ms-word.document.macroenabled.12
        docx:vnd.openxmlformats-officedocument.wordprocessingml.document dot:msword
        dotm:vnd.ms-word.template.macroenabled.12
        dotx:vnd.openxmlformats-officedocument.wordprocessingml.template dssc:dssc+der
        dtb:x-dtbook+xml dtd:xml-dtd dump:octet-stream dvi:x-dvi dwd:atsc-dwd+xml
        dxr:x-director ear:java-archive ecma:ecmascript egg:zip elc:octet-stream
        emma:emma+xml emotionml:emotionml+xml emz:x-msmetafile
        ent:xml-external-parsed-entity eot:vnd.ms-fontobject eps:postscript epub:epub+zip
        eva:x-eva evy:x-envoy exe:vnd.microsoft.portable-executable exi:exi exp:express
        ez:andrew-inset fbx:octet-stream fcdt:vnd.adobe.formscentral.fcdt fdf:fdf
        fdt:fdt+xml fgd:x-director fig:x-xfig flw:vnd.kde.kivio fxp:vnd.adobe.fxp
        fxpl:vnd.adobe.fxp g2w:vnd.geoplan g3w:vnd.geospace gam:x-tads
        gbr:rpki-ghostbusters gca:x-gca-compressed geojson:geo+json
        gex:vnd.geometry-explorer ggb:vnd.geogebra.file ggs:vnd.geogebra.slides
        ggt:vnd.geogebra.tool gml:gml+xml gnumeric:x-gnumeric gpg:octet-stream gpx:gpx+xml
        gql:graphql gram:srgs gramps:x-gramps-xml graphql:graphql gre:vnd.geometry-explorer
        grib:octet-stream grxml:srgs+xml gsf:x-font-ghostscript gtar:x-gtar gxf:gxf
        gxt:vnd.geonext gz:gzip h5:x-hdf5 har:json hdd:x-virtualbox-hdd hdf:x-hdf
        hdf5:x-hdf5 held:atsc-held+xml hjson:hjson hlp:winhlp hqx:mac-binhex40
        img:octet-stream ims:vnd.ms-ims ink:inkml+xml inkml:inkml+xml
        install:x-install-instructions ipa:octet-stream ipfix:ipfix ipynb:x-ipynb+json
        iso:x-iso9660-image its:its+xml jar:java-archive jardiff:x-java-archive-diff
        jnlp:x-java-jnlp-file json:json json5:json5 jsonl:jsonl jsonld:ld+json
        jsonml:jsonml+json karbon:vnd.kde.karbon kdbx:x-keepass2 key:vnd.apple.keynote
        kfo:vnd.kde.kformula kml:vnd.google-earth.kml+xml kmz:vnd.google-earth.kmz
        kon:vnd.kde.kontour kpr:vnd.kde.kpresenter kpt:vnd.kde.kpresenter
        ksp:vnd.kde.kspread kwd:vnd.kde.kword kwt:vnd.kde.kword lgr:lgr+xml
        lha:x-lzh-compressed lnk:x-ms-shortcut lostxml:lost+xml lottie:zip+dotlottie
        lrf:octet-stream lrm:vnd.ms-lrm luac:x-lua-bytecode lwp:vnd.lotus-wordpro lz:x-lzip
        lz4:x-lz4 lzh:x-lzh-compressed m13:x-msmediaview m14:x-msmediaview m21:mp21
        m3u8:vnd.apple.mpegurl m4p:mp4 ma:mathematica mads:mads+xml maei:mmt-aei+xml
        map:json mar:octet-stream mathml:mathml+xml mb:mathematica mbox:mbox
        mbtiles:vnd.sqlite3 mdb:x-msaccess meta4:metalink4+xml metalink:metalink4+xml
        mets:mets+xml mft:rpki-manifest mie:x-mie mif:vnd.mif mny:x-msmoney
        mo:x-gettext-translation mobi:x-mobipocket-ebook mobileconfig:x-apple-aspen-config
        mods:mods+xml mp21:mp21 mp4s:mp4 mpd:dash+xml mpf:media-policy-dataset+xml
        mpkg:vnd.apple.installer+xml mpp:dash-patch+xml mpt:vnd.ms-project mrc:marc
        mrcx:marcxml+xml mscml:mediaservercontrol+xml msg:vnd.ms-outlook msi:x-msi
        msix:msix msixbundle:msixbundle msm:octet-stream msp:octet-stream musd:mmt-usd+xml
        mvb:x-msmediaview mvt:vnd.mapbox-vector-tile mxf:mxf mxml:xv+xml nb:mathematica
        nbp:vnd.wolfram.player nc:netcdf ncx:x-dtbncx+xml ndjson:x-ndjson npy:octet-stream
        npz:zip nq:n-quads nsc:x-conference nsf:vnd.lotus-notes nt:n-triples
        numbers:vnd.apple.numbers nzb:x-nzb obd:x-msbinder oda:oda
        odb:vnd.oasis.opendocument.database odc:vnd.oasis.opendocument.chart
        odf:vnd.oasis.opendocument.formula odft:vnd.oasis.opendocument.formula-template
        odg:vnd.oasis.opendocument.graphics odi:vnd.oasis.opendocument.image
        odm:vnd.oasis.opendocument.text-master odp:vnd.oasis.opendocument.presentation
        ods:vnd.oasis.opendocument.spreadsheet odt:vnd.oasis.opendocument.text ogx:ogg
        omdoc:omdoc+xml one:onenote onea:onenote onepkg:onenote onetmp:onenote
        onetoc:onenote onetoc2:onenote onnx:octet-stream opf:oebps-package+xml
        osm:vnd.openstreetmap.data+xml otc:vnd.oasis.opendocument.chart-template
        otg:vnd.oasis.opendocument.graphics-template oth:vnd.oasis.opendocument.text-web
        oti:vnd.oasis.opendocument.image-template
        otp:vnd.oasis.opendocument.presentation-template
        ots:vnd.oasis.opendocument.spreadsheet-template
        ott:vnd.oasis.opendocument.text-template ova:x-virtualbox-ova ovf:x-virtualbox-ovf
        owl:rdf+xml oxps:oxps p10:pkcs10 p12:x-pkcs12 p7b:x-pkcs7-certificates
        p7c:pkcs7-mime p7m:pkcs7-mime p7r:x-pkcs7-certreqresp p7s:pkcs7-signature p8:pkcs8
        pac:x-ns-proxy-autoconfig pages:vnd.apple.pages parquet:vnd.apache.parquet
        pbf:x-protobuf pcap:vnd.tcpdump.pcap pcf:x-font-pcf pdf:pdf pem:x-pem-file
        pfa:x-font-type1 pfb:x-font-type1 pfm:x-font-type1 pfr:font-tdpfr pfx:x-pkcs12
        pgn:x-chess-pgn pgp:pgp-encrypted php:x-httpd-php pkg:octet-stream pki:pkixcmp
        pkipath:pkix-pkipath pkpass:vnd.apple.pkpass pkpasses:vnd.apple.pkpasses
        plist:x-plist pls:pls+xml ply:x-ply pmtiles:vnd.pmtiles
        potm:vnd.ms-powerpoint.template.macroenabled.12
        potx:vnd.openxmlformats-officedocument.presentationml.template
        ppam:vnd.ms-powerpoint.addin.macroenabled.12 pps:vnd.ms-powerpoint
        ppsm:vnd.ms-powerpoint.slideshow.macroenabled.12
        ppsx:vnd.openxmlformats-officedocument.presentationml.slideshow
        ppt:vnd.ms-powerpoint pptm:vnd.ms-powerpoint.presentation.macroenabled.12
        pptx:vnd.openxmlformats-officedocument.presentationml.presentation
        pre:vnd.lotus-freelance prf:pics-rules provx:provenance+xml ps:postscript
        psf:x-font-linux-psf pskcxml:pskc+xml pt:octet-stream pub:vnd.ms-publisher
        raml:raml+yaml rapd:route-apd+xml rar:vnd.rar rdf:rdf+xml relo:p2p-overlay+xml
        res:x-dtbresource+xml rif:reginfo+xml ris:x-research-info-systems
        rl:resource-lists+xml rld:resource-lists-diff+xml rnc:relax-ng-compact-syntax
        rng:xml roa:rpki-roa rpm:x-rpm rq:sparql-query rsat:atsc-rsat+xml rsd:rsd+xml
        rsheet:urc-ressheet+xml rss:rss+xml rtf:rtf run:x-makeself rusd:route-usd+xml
        safetensors:octet-stream sbml:sbml+xml scd:x-msschedule scm:vnd.lotus-screencam
        scq:scvp-cv-request scs:scvp-cv-response sda:vnd.stardivision.draw
        sdc:vnd.stardivision.calc sdd:vnd.stardivision.impress sdp:sdp
        sdw:vnd.stardivision.writer sea:x-sea senmlx:senml+xml sensmlx:sensml+xml
        ser:java-serialized-object setpay:set-payment-initiation
        setreg:set-registration-initiation sgl:vnd.stardivision.writer-global shar:x-shar
        shf:shf+xml shp:octet-stream sieve:sieve sig:pgp-signature sit:x-stuffit
        sitx:x-stuffitx siv:sieve sldm:vnd.ms-powerpoint.slide.macroenabled.12
        sldx:vnd.openxmlformats-officedocument.presentationml.slide sls:route-s-tsid+xml
        smf:vnd.stardivision.math smi:smil+xml smil:smil+xml snap:octet-stream
        snf:x-font-snf so:octet-stream sparql:sparql-query spc:x-pkcs7-certificates
        spl:x-futuresplash spp:scvp-vp-response spq:scvp-vp-request sql:sql
        sqlite:vnd.sqlite3 src:x-wais-source sru:sru+xml srx:sparql-results+xml
        ssdl:ssdl+xml ssml:ssml+xml stc:vnd.sun.xml.calc.template
        std:vnd.sun.xml.draw.template sti:vnd.sun.xml.impress.template stk:hyperstudio
        stw:vnd.sun.xml.writer.template sv4cpio:x-sv4cpio sv4crc:x-sv4crc swa:x-director
        svgz:gzip swf:vnd.adobe.flash.movie swidtag:swid+xml sxc:vnd.sun.xml.calc
        sxd:vnd.sun.xml.draw sxg:vnd.sun.xml.writer.global sxi:vnd.sun.xml.impress
        sxm:vnd.sun.xml.math sxw:vnd.sun.xml.writer t3:x-t3vm-image tar:x-tar tbz:x-bzip2
        td:urc-targetdesc+xml tei:tei+xml teicorpus:tei+xml texi:x-texinfo
        texinfo:x-texinfo tfi:thraud+xml tfm:x-tex-tfm tgz:gzip thmx:vnd.ms-officetheme
        tk:x-tcl toml:toml topojson:json torrent:x-bittorrent trig:trig trm:x-msterminal
        tsd:timestamped-data ttml:ttml+xml txz:x-xz u32:x-authorware-bin ubj:ubjson
        udeb:x-debian-package ulx:x-glulx url:internet-shortcut ustar:x-ustar
        vbox:x-virtualbox-vbox vbox-extpack:x-virtualbox-vbox-extpack vcd:x-cdlink
        vdi:x-virtualbox-vdi vdx:vnd.ms-visio.viewer vhd:x-virtualbox-vhd vis:vnd.visionary
        vmdk:x-virtualbox-vmdk vor:vnd.stardivision.writer vox:x-authorware-bin
        vsd:vnd.visio vsdx:vnd.visio vss:vnd.visio vst:vnd.visio vsw:vnd.visio
        vtx:vnd.visio vxml:voicexml+xml w3d:x-director wad:x-doom wadl:vnd.sun.wadl+xml
        war:java-archive wasm:wasm wbxml:vnd.wap.wbxml wcm:vnd.ms-works wdb:vnd.ms-works
        webapp:x-web-app-manifest+json webmanifest:manifest+json wgt:widget whl:zip
        wif:watcherinfo+xml wks:vnd.ms-works wmd:x-ms-wmd wmlc:vnd.wap.wmlc
        wmlsc:vnd.wap.wmlscriptc wmz:x-ms-wmz wpl:vnd.ms-wpl wps:vnd.ms-works wri:x-mswrite
        wsdl:wsdl+xml wspolicy:wspolicy+xml x32:x-authorware-bin xaml:xaml+xml
        xap:x-silverlight-app xav:xcap-att+xml xbap:x-ms-xbap xca:xcap-caps+xml
        xcs:calendar+xml xdcf:vnd.gov.sk.xmldatacontainer+xml xdf:xcap-diff+xml
        xdp:vnd.adobe.xdp+xml xdssc:dssc+xml xel:xcap-el+xml xenc:xenc+xml
        xer:patch-ops-error+xml xfdf:xfdf xht:xhtml+xml xhtml:xhtml+xml xhvml:xv+xml
        xla:vnd.ms-excel xlam:vnd.ms-excel.addin.macroenabled.12 xlc:vnd.ms-excel
        xlf:xliff+xml xlm:vnd.ms-excel xls:vnd.ms-excel
        xlsb:vnd.ms-excel.sheet.binary.macroenabled.12
        xlsm:vnd.ms-excel.sheet.macroenabled.12
        xlsx:vnd.openxmlformats-officedocument.spreadsheetml.sheet xlt:vnd.ms-excel
        xltm:vnd.ms-excel.template.macroenabled.12
        xltx:vnd.openxmlformats-officedocument.spreadsheetml.template xlw:vnd.ms-excel
        xml:xml xns:xcap-ns+xml xop:xop+xml xpi:x-xpinstall xpl:xproc+xml
        xps:vnd.ms-xpsdocument xsd:xml xsf:prs.xsf+xml xsl:xslt+xml xslt:xslt+xml
        xspf:xspf+xml xul:vnd.mozilla.xul+xml xvm:xv+xml xvml:xv+xml xz:x-xz yaml:yaml
        yang:yang yin:yin+xml yml:yaml z1:x-zmachine z2:x-zmachine z3:x-zmachine
        z4:x-zmachine z5:x-zmachine z6:x-zmachine z7:x-zmachine z8:x-zmachine zip:zip
        zst:zstd
    """,
    "audio": """
        3gpp:3gpp aac:aac adp:adpcm adts:aac aif:aiff aifc:aiff aiff:aiff amr:amr au:basic
        caf:x-caf dra:vnd.dra dts:vnd.dts dtshd:vnd.dts.hd ecelp4800:vnd.nuera.ecelp4800
        ecelp7470:vnd.nuera.ecelp7470 ecelp9600:vnd.nuera.ecelp9600 eol:vnd.digital-winds
        flac:flac kar:midi lvp:vnd.lucent.voice m2a:mpeg m3a:mpeg m3u:x-mpegurl m4a:mp4
        m4b:mp4 mid:midi midi:midi mka:x-matroska mp2:mpeg mp2a:mpeg mp3:mpeg mp4a:mp4
        mpga:mpeg mxmf:mobile-xmf oga:ogg ogg:ogg opus:ogg pya:vnd.ms-playready.media.pya
        ra:x-pn-realaudio ram:x-pn-realaudio rip:vnd.rip rmi:midi rmp:x-pn-realaudio-plugin
        s3m:s3m sil:silk snd:basic spx:ogg uva:vnd.dece.audio uvva:vnd.dece.audio wav:wav
        wax:x-ms-wax weba:webm wma:x-ms-wma xm:xm
    """,
    "font": """
        otf:otf ttc:collection ttf:ttf woff:woff woff2:woff2
    """,
    "image": """
        3ds:x-3ds apng:apng avci:avci avcs:avcs avif:avif azv:vnd.airzip.accelerator.azv
        b16:vnd.pco.b16 bmp:bmp btf:prs.btif btif:prs.btif cgm:cgm cmx:x-cmx
        cr2:x-canon-cr2 cur:x-icon dds:vnd.ms-dds dib:bmp djv:vnd.djvu djvu:vnd.djvu
        dng:x-adobe-dng dpx:dpx drle:dicom-rle dwg:vnd.dwg dxf:vnd.dxf emf:emf exr:x-exr
        fbs:vnd.fastbidsheet fh:x-freehand fh4:x-freehand fh5:x-freehand fh7:x-freehand
        fhc:x-freehand fits:fits fpx:vnd.fpx fst:vnd.fst g3:g3fax gif:gif heic:heic
        heics:heic-sequence heif:heif heifs:heif-sequence hej2:hej2k ico:x-icon ief:ief
        jaii:jaii jais:jais jfif:jpeg jhc:jphc jls:jls jng:x-jng jp2:jp2 jpe:jpeg jpeg:jpeg
        jpf:jpx jpg:jpeg jpg2:jp2 jpgm:jpm jph:jph jpm:jpm jpx:jpx jxl:jxl jxr:jxr
        jxra:jxra jxrs:jxrs jxs:jxs jxsc:jxsc jxsi:jxsi jxss:jxss ktx:ktx ktx2:ktx2
        mdi:vnd.ms-modi mmr:vnd.fujixerox.edmics-mmr nef:x-nikon-nef npx:vnd.net-fpx
        pbm:x-portable-bitmap pct:x-pict pcx:x-pcx pgm:x-portable-graymap pic:x-pict
        pjp:jpeg pjpeg:jpeg png:png pnm:x-portable-anymap ppm:x-portable-pixmap
        psd:vnd.adobe.photoshop pti:prs.pti qoi:qoi ras:x-cmu-raster rgb:x-rgb
        rlc:vnd.fujixerox.edmics-rlc sgi:sgi sid:x-mrsid-image sub:vnd.dvb.subtitle
        svg:svg+xml  t38:t38 tap:vnd.tencent.tap tfx:tiff-fx tga:x-tga tif:tiff
        tiff:tiff uvg:vnd.dece.graphic uvi:vnd.dece.graphic uvvg:vnd.dece.graphic
        uvvi:vnd.dece.graphic vtf:vnd.valve.source.texture wbmp:vnd.wap.wbmp
        wdp:vnd.ms-photo webp:webp wmf:wmf xbm:x-xbitmap xcf:x-xcf xif:vnd.xiff
        xpm:x-xpixmap xwd:x-xwindowdump
    """,
    "message": """
        disposition-notification:disposition-notification eml:rfc822 mime:rfc822
        u8dsn:global-delivery-status u8hdr:global-headers
        u8mdn:global-disposition-notification u8msg:global wsc:vnd.wfa.wsc
    """,
    "model": """
        210:step 3mf:3mf bary:vnd.bary bsp:vnd.valve.source.compiled-map cld:vnd.cld
        dae:vnd.collada+xml dwf:vnd.dwf gdl:vnd.gdl glb:gltf-binary gltf:gltf+json
        gtw:vnd.gtw iges:iges igs:iges jt:jt mesh:mesh msh:mesh mtl:mtl obj:obj
        ogex:vnd.opengex p21:step prc:prc pyo:vnd.pytha.pyox pyox:vnd.pytha.pyox silo:mesh
        step:step stl:stl stp:step stpnc:step stpx:step+xml stpxz:step-xml+zip
        stpz:step+zip u3d:u3d usda:vnd.usda usdz:vnd.usdz+zip vds:vnd.sap.vds vrml:vrml
        vtu:vnd.vtu wrl:vrml x3d:x3d+xml x3db:x3d+fastinfoset x3dbz:x3d+binary
        x3dv:x3d-vrml x3dvz:x3d+vrml x3dz:x3d+xml x_b:vnd.parasolid.transmit.binary
        x_t:vnd.parasolid.transmit.text
    """,
    "multipart": """
        mht:related mhtml:related
    """,
    "text": """
        3dml:vnd.in3d.3dml adoc:asciidoc appcache:cache-manifest asc:plain
        asciidoc:asciidoc asm:x-asm ass:x-ssa bash:x-sh bat:plain bib:x-bibtex c:x-c
        cc:x-c++ cfg:plain cjs:javascript clj:x-clojure cmake:x-cmake cmd:plain
        coffee:coffeescript conf:plain cpp:x-c++ cs:x-csharp css:css csv:csv curl:vnd.curl
        cxx:x-c++ dcurl:vnd.curl.dcurl def:plain dic:x-c diff:x-diff dsc:prs.lines.tag
        el:x-elisp env:plain erl:x-erlang etx:x-setext ex:x-elixir f:x-fortran
        f77:x-fortran f90:x-fortran flx:vnd.fmi.flexstor fly:vnd.fly for:x-fortran
        ged:vnd.familysearch.gedcom gedcom:vnd.familysearch.gedcom go:x-go gradle:plain
        gv:vnd.graphviz h:x-c hbs:x-handlebars-template hh:x-c++ hpp:x-c++ hs:x-haskell
        htc:x-component htm:html html:html hxx:x-c++ ics:calendar ifb:calendar in:plain
        ini:plain jad:vnd.sun.j2me.app-descriptor jade:jade java:x-java js:javascript
        jsx:jsx kt:x-kotlin latex:x-tex less:less license:plain list:plain
        litcoffee:coffeescript lock:plain log:plain ltx:x-tex lua:x-lua man:troff
        manifest:cache-manifest markdown:markdown mcurl:vnd.curl.mcurl md:markdown
        md5:plain mdx:mdx me:plain mjs:javascript mk:x-makefile mkd:markdown mml:mathml
        ms:troff mustache:plain n3:n3 nfo:plain opml:x-opml org:org p:x-pascal pas:x-pascal
        patch:x-diff pde:x-processing pl:x-perl pm:x-perl po:x-gettext-translation
        pot:x-gettext-translation properties:plain proto:x-protobuf ps1:plain py:x-python
        pyi:x-python pyx:x-cython r:x-r rb:x-ruby readme:plain roff:troff rs:rust rst:x-rst
        rtx:richtext s:x-asm sass:x-sass scala:x-scala scss:x-scss scurl:vnd.curl.scurl
        sfv:x-sfv sgm:sgml sgml:sgml sh:x-sh sha256:plain sha512:plain shex:shex shtm:html
        shtml:html slim:slim slm:slim spdx:spdx spot:vnd.in3d.spot srt:x-subrip ssa:x-ssa
        sty:x-tex styl:x-stylus stylus:stylus svelte:x-svelte swift:x-swift t:troff
        tcl:x-tcl tex:x-tex text:plain tr:troff ts:x-typescript tsv:tab-separated-values
        tsx:x-typescript ttl:turtle txt:plain uri:uri-list uris:uri-list urls:uri-list
        uu:x-uuencode vcard:vcard vcf:vcard vcs:x-vcalendar vim:plain vtt:vtt vue:x-vue
        wat:plain wgsl:wgsl wml:vnd.wap.wml wmls:vnd.wap.wmlscript ymp:x-suse-ymp zsh:x-sh
    """,
    "video": """
        3g2:3gpp2 3gp:3gpp asf:x-ms-asf asx:x-ms-asf avi:x-msvideo dvb:vnd.dvb.file f4v:mp4
        fli:x-fli flv:x-flv fvt:vnd.fvt h261:h261 h263:h263 h264:h264 jpgv:jpeg m1v:mpeg
        m2t:mp2t m2ts:mp2t m2v:mpeg m4s:iso.segment m4u:vnd.mpegurl m4v:mp4 mj2:mj2
        mjp2:mj2 mk3d:x-matroska mks:x-matroska mkv:x-matroska mng:x-mng mov:quicktime
        movie:x-sgi-movie mp4:mp4 mp4v:mp4 mpe:mpeg mpeg:mpeg mpg:mpeg mpg4:mp4 mts:mp2t
        mxu:vnd.mpegurl ogv:ogg pyv:vnd.ms-playready.media.pyv qt:quicktime smv:x-smv
        uvh:vnd.dece.hd uvm:vnd.dece.mobile uvp:vnd.dece.pd uvs:vnd.dece.sd
        uvu:vnd.uvvu.mp4 uvv:vnd.dece.video uvvh:vnd.dece.hd uvvm:vnd.dece.mobile
        uvvp:vnd.dece.pd uvvs:vnd.dece.sd uvvu:vnd.uvvu.mp4 uvvv:vnd.dece.video
        viv:vnd.vivo vob:x-ms-vob webm:webm wm:x-ms-wm wmv:x-ms-wmv wmx:x-ms-wmx
        wvx:x-ms-wvx
    """,
}
